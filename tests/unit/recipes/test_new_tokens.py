"""New tokens for base models: words that came in pieces are whole, what was known stays known, and what is saved is read so."""

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from support.decoders import SENTENCES, SMALL, request_of, task_of
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from kargah.kit.errors import BadInput
from kargah.recipes import catalogue
from kargah.recipes.decoders import tokens
from kargah.recipes.encoders import fast_tokenizer
from kargah.recipes.new_tokens import Growth, add_rows, learnt
from kargah.recipes.tokenizing import SPECIAL_TOKENS, train_tokenizer

LETTERS = "ابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیآؤئ\u200cabcdefghij0123456789؛."


def babble() -> list[str]:
    """Words of no language: a tokenizer made of them knows letters, and hardly a word."""
    generator = random.Random(1)
    return [" ".join("".join(generator.choices(LETTERS, k=4)) for _ in range(20)) for _ in range(60)]


def of_pieces(kind: str) -> Any:
    if kind.startswith("bytes"):
        return tokens.trained(babble(), kind.removeprefix("bytes-"), 330, None).tokenizer
    told: dict[str, Any] = {"vocab_size": 160, "special_tokens": SPECIAL_TOKENS, "show_progress": False}
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        tokenizer.train_from_iterator(babble(), trainers.WordPieceTrainer(**told))
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        tokenizer.train_from_iterator(babble(), trainers.UnigramTrainer(unk_token="[UNK]", **told))
    else:  # as Llama 2's: spaces become marks before anything is parted, and nothing parts words
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Metaspace()
        tokenizer.train_from_iterator((word for text in babble() for word in text.split()), trainers.BpeTrainer(**told))
    tokenizer.add_special_tokens(["<|last|>"])  # behind all others, as many base models have them
    return fast_tokenizer(tokenizer)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe-unparted", "bytes-bpe", "bytes-unigram"])
def test_words_take_fewer_tokens_and_what_was_known_keeps_its_number(tmp_path: Path, kind: str) -> None:
    tokenizer, said = of_pieces(kind), []
    request = request_of("masked-lm", {"text": SENTENCES}, tmp_path, lambda code, **told: said.append((code, told)), new_tokens=60)
    growth = learnt(request, tokenizer, SENTENCES)
    assert growth is not None
    assert 10 < len(growth.pieces) <= 60
    assert growth.after < growth.before / 1.5
    assert said == [("train.new_tokens", {"added": len(growth.pieces), "before": growth.before, "after": growth.after})]
    before, after = tokenizer.get_vocab(), growth.tokenizer.get_vocab()
    assert before.items() <= after.items()
    assert sorted(after.values()) == list(range(growth.first + len(growth.pieces)))
    for number, pieces in enumerate(growth.pieces, growth.first):
        assert growth.tokenizer.decode([number]).strip() == tokenizer.decode(pieces).strip()
    asked = [*SENTENCES[:5], "<|last|> abcj 77"]
    ids = growth.tokenizer(asked)["input_ids"]
    assert [growth.tokenizer.decode(row) for row in ids] == [tokenizer.decode(row) for row in tokenizer(asked)["input_ids"]]
    growth.tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(asked)["input_ids"] == ids
    again = learnt(request, tokenizer, SENTENCES)
    assert again is not None
    assert again.tokenizer.get_vocab() == after


def test_words_that_came_apart_are_learnt_as_they_are_read(tmp_path: Path) -> None:
    tokenizer, rows = of_pieces("bytes-bpe"), [text.split() for text in SENTENCES]
    growth = learnt(request_of("token-classification", {"tokens": rows, "tags": rows}, tmp_path, new_tokens=60), tokenizer, rows)
    assert growth is not None
    assert growth.after < growth.before / 1.5
    taken = growth.tokenizer(rows[0], is_split_into_words=True)["input_ids"]
    assert max(taken) >= growth.first


SIZES: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
PIECES = [[7, 8], [30, 9, 30]]


def model_of(family: str) -> Any:
    from transformers import AutoConfig

    torch.manual_seed(3)
    auto: Any = AutoModelForCausalLM if "llama" in family else AutoModelForMaskedLM
    settings = {**SIZES, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16} if family == "distilbert" else SIZES
    model = auto.from_config(AutoConfig.for_model(family.split("-")[0], **settings, tie_word_embeddings=family != "llama-untied"))
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        torch.nn.init.normal_(model.get_output_embeddings().bias)
    return model.eval()


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "llama", "llama-untied"])
def test_a_new_token_is_the_mean_of_what_it_replaces_in_and_out_and_the_rest_is_untouched(tmp_path: Path, family: str) -> None:
    model, ids = model_of(family), torch.tensor([[5, 6, 7, 8, 9, 30]])
    old = copy.deepcopy(model)
    add_rows(model, Growth(None, 40, PIECES, 3.0, 2.0))
    with torch.no_grad():
        before, after = old(input_ids=ids).logits, model(input_ids=ids).logits
    torch.testing.assert_close(after[..., :40], before)
    means = torch.stack([before[..., pieces].mean(dim=-1) for pieces in PIECES], dim=-1)
    torch.testing.assert_close(after[..., 40:], means)  # logits are linear in the vectors and the bias
    vectors = model.get_input_embeddings().weight
    torch.testing.assert_close(vectors[41], old.get_input_embeddings().weight[PIECES[1]].mean(dim=0))
    assert (model.get_output_embeddings().weight is vectors) == (family != "llama-untied")
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    fresh = torch.tensor([[5, 40, 41, 6]])
    with torch.no_grad():
        torch.testing.assert_close(again(input_ids=fresh).logits, model(input_ids=fresh).logits)


@pytest.mark.parametrize(
    ("recipe", "spec", "has_base_model"),
    [
        ("text-classification", {}, False),
        ("text-classification", {"frozen_encoder": True}, True),
        ("token-classification", {}, False),
        ("masked-lm", {}, False),
        ("causal-lm", {"adapter": "lora"}, True),
        ("sft", {"quantization": "4bit"}, True),
    ],
)
def test_where_new_tokens_could_not_learn_they_are_refused_by_name(recipe: str, spec: dict[str, Any], has_base_model: bool) -> None:
    found = catalogue.get(recipe)
    with pytest.raises(BadInput) as refused:
        found.check(found.spec.model_validate({**spec, "new_tokens": 10}), has_base_model)
    assert (refused.value.code, refused.value.params["field"]) == ("SETTING_UNFIT", "spec.new_tokens")
    found.check(found.spec.model_validate({"new_tokens": 10}), True)


def test_a_language_model_learns_with_its_new_tokens_and_is_read_back_with_the_same_logits(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "made"
    task_of("causal-lm", {"text": babble()}, **{**SMALL, "vocab_size": 330}).save(base)
    task = task_of("causal-lm", {"text": SENTENCES}, base, new_tokens=40)
    told = {decision.name: decision for decision in task.decisions} | {decision.name: decision for decision in task.data.decisions}
    assert 0 < told["new_tokens"].value <= 40
    assert (told["adapter"].value, told["adapter"].why) == ("none", "why.adapter_none_for_new_tokens")
    optimizer, first = torch.optim.AdamW(task.module.parameters(), 1e-2), float(task.loss([0, 1]).detach())
    for _ in range(10):
        optimizer.zero_grad()
        loss = task.loss([0, 1])
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < first
    task.save(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer(SENTENCES[0])["input_ids"]])
    assert int(ids.max()) >= len(AutoTokenizer.from_pretrained(base))
    sample = task.data.samples_of("train")[0].sequences[0].ids
    shown = torch.from_numpy(sample)[None]
    with torch.no_grad():
        expected = task.network.model.eval()(input_ids=shown, use_cache=False, sequence_lengths=(len(sample),)).logits
        torch.testing.assert_close(model(input_ids=shown).logits, expected, rtol=1e-4, atol=1e-5)


def test_a_tokenizer_of_whole_words_takes_no_new_ones(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(SENTENCES, 300, None)
    whole = Tokenizer(models.WordLevel({token: number for number, token in enumerate(SPECIAL_TOKENS)}, unk_token="[UNK]"))
    with pytest.raises(BadInput) as refused:
        learnt(request_of("masked-lm", {"text": SENTENCES}, tmp_path, new_tokens=5), fast_tokenizer(whole), SENTENCES)
    assert (refused.value.code, refused.value.params["detail"]) == ("BASE_MODEL_UNUSABLE", "WordLevel")
    assert learnt(request_of("masked-lm", {"text": SENTENCES}, tmp_path), fast_tokenizer(tokenizer), SENTENCES) is None
