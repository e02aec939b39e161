"""Base models under the heads of tags and of answers: fine-tuned, saved with their whole vocabulary, and asked."""

from pathlib import Path
from typing import Any

import pytest
from attempts import Job, of_kind

from kargah.recipes.predictor import load_predictor
from kargah.recipes.tokenizing import train_tokenizer

WORDS = "علی در تهران زندگی می‌کند و مریم در شیراز درس می‌خواند ."
TAGS = ["B-PER", "O", "B-LOC", "O", "O", "O", "B-PER", "O", "B-LOC", "O", "O", "O"]
ROWS: dict[str, dict[str, list[Any]]] = {
    "token-classification": {"tokens": [[str(number), *WORDS.split()] for number in range(12)], "tags": [["O", *TAGS]] * 12},
    "question-answering": {
        "context": [f"{number} {WORDS}" for number in range(12)],
        "question": ["علی کجا زندگی می‌کند؟"] * 12,
        "answers": [{"text": ["تهران"], "answer_start": [f"{number} {WORDS}".index("تهران")]} for number in range(12)],
    },
}
ASKED: dict[str, Any] = {"token-classification": WORDS, "question-answering": {"context": WORDS, "question": "علی کجاست؟"}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder whose vocabulary is mostly of words that the rows have not."""
    import torch
    from transformers import ElectraConfig, ElectraModel

    from kargah.recipes.encoders import fast_tokenizer

    folder = tmp_path_factory.mktemp("base")
    others = [f"واژه{number}" for number in range(400)]
    tokenizer = fast_tokenizer(train_tokenizer([WORDS, *others, *others], 900, None))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "embedding_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ElectraModel(ElectraConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("recipe", ROWS)
def test_a_base_model_is_fine_tuned_and_keeps_the_vectors_of_words_that_did_not_occur(tmp_path: Path, base: Path, recipe: str) -> None:
    from safetensors.torch import load_file

    grows = recipe == "token-classification"
    spec = {"max_steps": 2, "learning_rate": 1e-2, "batch_size": 4, "baselines": False, **({"new_tokens": 9} if grows else {})}
    directory, events = Job(tmp_path, recipe, ROWS[recipe], spec=spec).run(base_model=base)
    assert events[-1].kind == "Finished", events[-1]
    folder = directory.outputs / "model"
    before, after = (load_file(path / "model.safetensors") for path in (base, folder))
    name = "embeddings.word_embeddings.weight"
    same = (before[name] == after[f"electra.{name}"][: len(before[name])]).all(dim=1)
    assert 0 < int((~same).sum()) < len(same) / 2
    assert len(after[f"electra.{name}"]) - len(same) == (9 if grows else 0)
    told = {choice.name: choice for event in of_kind(events, "Running") for choice in event.choices}
    assert ("new_tokens" in told and told["new_tokens"].params["after"] < told["new_tokens"].params["before"]) == grows
    (answer,) = load_predictor(folder).predict([ASKED[recipe]])
    assert set(answer) in ({"text", "entities"}, {"answer", "score", "start", "end"})
