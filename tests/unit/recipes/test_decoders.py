"""What models that write learn from: rows of tokens, what of them is learnt, and losses that are Hugging Face's."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.decoders import SENTENCES, SMALL, request_of, task_of
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from kargah.kit.errors import BadInput
from kargah.recipes.decoders import chat, ngrams, talks, tokens, writing
from kargah.recipes.decoders.tokens import Vocabulary
from kargah.text.normalise import NormaliserSettings

TALK = (
    {"role": "system", "content": "کوتاه بگو."},
    {"role": "user", "content": "باغ سبز است؟"},
    {"role": "assistant", "content": "آری، سبز است."},
    {"role": "user", "content": "و کتاب؟"},
    {"role": "assistant", "content": "كتاب 3 را می\u200cخوانیم."},
)
TALKS = [[TALK[1], {**TALK[2], "content": f"آری، باغ {number} سبز است."}] for number in range(30)]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return tokens.trained(SENTENCES, "bpe", 400, NormaliserSettings().model_dump())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama as a base model, from our own recipe."""
    folder = tmp_path_factory.mktemp("base")
    task_of("causal-lm", {"text": SENTENCES}, **SMALL).save(folder)
    return folder


# ---- rows ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("length", [8, 33, 1000])
def test_joined_texts_lose_nothing_and_learn_every_token_once(vocabulary: Vocabulary, length: int) -> None:
    rows = list(tokens.blocks(SENTENCES, vocabulary, length, lambda: None))
    assert max(row.cost for row in rows) <= length
    learnt = [int(token) for row in rows for sequence in row.sequences for token in sequence.ids[sequence.learnt]]
    whole = [[*vocabulary.tokenizer(text)["input_ids"][1:], vocabulary.end] for text in SENTENCES]
    assert learnt == [token for text in whole for token in text]
    assert sum(row.text_bytes for row in rows) == sum(len(text.encode()) for text in SENTENCES)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_tokenizer_of_bytes_gives_every_text_back_and_is_the_same_in_every_process(kind: str) -> None:
    made = tokens.trained(SENTENCES, kind, 400, None)
    strange = "سلام\u200cها 👍🏽 \x07 ﷼ 中文 tab\tnew\n\nline  دو فاصله"
    assert made.tokenizer.decode(made.tokenizer(strange)["input_ids"], skip_special_tokens=True) == strange
    code = "import json, sys\nfrom kargah.recipes.decoders import tokens\n"
    code += f"print(tokens.trained(json.load(sys.stdin), {kind!r}, 400, None).tokenizer.backend_tokenizer.to_str())"
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(SENTENCES), capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == made.tokenizer.backend_tokenizer.to_str()


def test_only_what_the_assistant_says_is_learnt_to_its_last_token(vocabulary: Vocabulary) -> None:
    (row,) = talks.samples([TALK], vocabulary, lambda: None)
    (sequence,) = row.sequences
    said = vocabulary.tokenizer.decode(sequence.ids[sequence.learnt])
    answers = [turn["content"].replace("ك", "ک") for turn in TALK if turn["role"] == "assistant"]
    assert said == "".join(f"{answer}{tokens.END}" for answer in answers)
    assert talks.ends_of([row]) == [vocabulary.end]
    assert row.text_bytes == sum(len(turn["content"].encode()) + len(tokens.END) for turn in TALK if turn["role"] == "assistant")


def test_a_template_that_rewrites_what_was_said_lets_the_last_answer_be_learnt_and_one_that_hides_it_none(vocabulary: Vocabulary) -> None:
    forgetful = "{% for m in messages %}{% if m.role != 'assistant' or loop.last %}<{{ m.role }}>{{ m.content }}\n{% endif %}{% endfor %}"
    own = vocabulary.tokenizer.chat_template
    try:
        vocabulary.tokenizer.chat_template = forgetful + "{% if add_generation_prompt %}<assistant>{% endif %}"
        text, spans = chat.rendered(vocabulary.tokenizer, TALK)
        assert [text[start:end] for start, end in spans] == [TALK[-1]["content"]]
        for template in ("{{ messages[0].content }}", "{{ raise_exception('no') }}", "{% if %}"):
            vocabulary.tokenizer.chat_template = template
            with pytest.raises(BadInput) as refused:
                chat.rendered(vocabulary.tokenizer, TALK)
            assert refused.value.code == "CHAT_TEMPLATE_UNFIT"
    finally:
        vocabulary.tokenizer.chat_template = own


def test_rows_of_each_form_are_the_same_talk_and_bad_ones_are_none() -> None:
    asked, answer = {"role": "user", "content": "الف\n\nب"}, {"role": "assistant", "content": "پ"}

    def clean(value: Any) -> str:
        return "" if value is None else str(value)

    assert talks.talk_of({"instruction": "الف", "input": "ب", "output": "پ"}, clean) == (asked, answer)
    assert talks.talk_of({"prompt": "الف\n\nب", "completion": "پ", "system": ""}, clean) == (asked, answer)
    assert talks.talk_of({"messages": [asked, answer], "system": "س"}, clean) == ({"role": "system", "content": "س"}, asked, answer)
    bad: list[list[Any]] = [[], [answer], [asked], [{**asked, "content": None}, answer], [{**asked, "role": "کاربر"}, answer], [None]]
    for turns in bad:
        assert talks.talk_of({"messages": turns}, clean) is None


def test_what_is_cut_is_counted_and_rows_without_an_answer_left_are_told_of() -> None:
    from kargah.recipes.sft.data import prepare

    told: list[tuple[str, dict[str, Any]]] = []
    long = [{"role": "user", "content": "پرسش " * 200}, TALK[2]]
    request = request_of("sft", {"messages": [*TALKS, long]}, log=lambda code, **params: told.append((code, params)), **SMALL)
    data = prepare(request)
    assert max(sample.cost for sample in data.samples) <= 64
    (cut,) = [params for code, params in told if code == "train.sequences_cut"]
    assert (cut["lost"], cut["max_length"]) == (1, 64)


def test_rows_of_several_data_sets_keep_whose_they_are() -> None:
    from kargah.recipes.causal_lm.data import prepare

    one = request_of("causal-lm", {"text": SENTENCES}, **SMALL)
    other = replace(one.tables[0], values={"text": ["کوه بلند " * 30 + str(number) for number in range(20)]}, rows=20, weight=2.0)
    data = prepare(replace(one, tables=[one.tables[0], other]))
    assert data.sources is not None
    for row, sample in enumerate(data.samples):
        text = data.vocabulary.tokenizer.decode(np.concatenate([sequence.ids for sequence in sample.sequences]))
        assert ("بلند" in text) == bool(data.sources.of_row[row])
    assert data.rows_an_epoch > len(data.train_rows)


# ---- losses -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("recipe", "columns"), [("causal-lm", {"text": SENTENCES}), ("sft", {"messages": TALKS})])
def test_a_step_is_hugging_faces_to_the_gradient(recipe: str, columns: dict[str, list[Any]]) -> None:
    task = task_of(recipe, columns, **SMALL)
    rows = [0, 3, 5]
    theirs: Any = LlamaForCausalLM(LlamaConfig(**task.network.model.config.to_dict()))
    theirs.load_state_dict(task.network.model.state_dict())
    task.module.train()
    loss = task.loss(rows)
    loss.backward()
    total, count = 0.0, task.weight(rows)
    for sequence in [sequence for row in rows for sequence in task.items[row].sequences]:
        ids = torch.from_numpy(sequence.ids).long()[None]
        labels = torch.where(torch.from_numpy(sequence.learnt)[None], ids, -100)
        part = theirs(input_ids=ids, labels=labels).loss * (int(sequence.learnt.sum()) / count)
        part.backward()
        total += part.item()
    assert loss.item() == pytest.approx(total, rel=1e-5)
    for (name, one), other in zip(task.network.model.named_parameters(), theirs.parameters(), strict=True):
        assert float((one.grad - other.grad).norm() / other.grad.norm()) <= 1e-5, name


def test_scores_are_those_of_the_loss_and_leave_random_state_alone(base: Path) -> None:
    task = task_of("causal-lm", {"text": SENTENCES}, base, **{**SMALL, "dropout": 0.3})
    told: list[str] = []
    task.request = replace(task.request, log=lambda code, **params: told.append(params["text"]))
    before = torch.get_rng_state()
    scores = task.scores(lambda: None)
    assert all(text and " ".join(text.split()) == text for text in told), "a sample stands in one line"
    assert torch.equal(before, torch.get_rng_state())
    metrics = task.data.evaluate("validation", scores).metrics
    held = task.data.samples_of("validation")
    task.items, task.module.training = held, False
    task.module.eval()
    assert metrics["eval_loss"] == pytest.approx(task.loss(range(len(held))).item(), rel=1e-5)
    assert metrics["perplexity"] == pytest.approx(np.exp(metrics["eval_loss"]))
    task.module.train()
    assert task.loss([0]).item() != task.loss([0]).item(), "dropout does nothing"


def test_ngrams_give_every_history_a_distribution(vocabulary: Vocabulary) -> None:
    small = [np.array([token % 9 for token in vocabulary.tokenizer(text)["input_ids"]]) for text in SENTENCES]
    model = ngrams.NgramModel.fit([tokens.Tokens(ids, np.arange(len(ids)) > 0) for ids in small], 9)
    for history in ([], [0], [3, 4], [8, 8], [0, 1]):
        shares = [model._foreseen(np.array([*history, token]))[0][-1] for token in range(9)]
        assert sum(shares) == pytest.approx(1.0)
    likeliest = model._foreseen(small[0])[1]
    assert set(likeliest) <= set(range(9))
    answers = ngrams.NgramModel.fit([tokens.Tokens(np.array([1, 2, 3, 4, 5]), np.array([False, False, False, True, True]))] * 3, 9)
    assert [(order.ngrams % 9).tolist() for order in answers.orders] == [[4, 5]] * 3, "what is asked is learnt"


# ---- adapters -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("adapter", ["lora", "dora", "rslora"])
def test_adapters_alone_learn_and_are_merged_or_kept_apart(base: Path, adapter: str, tmp_path: Path) -> None:
    from peft import PeftModel

    task = task_of("sft", {"messages": TALKS}, base, **{**SMALL, "adapter": adapter, "lora_rank": 4, "keep_adapter": True})
    optimizer = torch.optim.AdamW([one for one in task.module.parameters() if one.requires_grad], lr=1e-2)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = task.loss(range(8))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2
    assert all("lora" in name for name, one in task.module.named_parameters() if one.requires_grad)
    expected = task.scores(lambda: None)
    task.save(tmp_path)
    task.save(tmp_path)  # a full disk may ask for it twice
    ids = torch.tensor([AutoTokenizer.from_pretrained(tmp_path)("باغ سبز است؟")["input_ids"]])
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    apart = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(tmp_path / "adapter"))
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, apart(ids).logits, rtol=1e-4, atol=1e-4)
    again = task_of("sft", {"messages": TALKS}, tmp_path, **{**SMALL, "adapter": "none"}).scores(lambda: None)
    np.testing.assert_allclose(again, expected, rtol=1e-3)


def test_what_it_writes_is_what_bare_transformers_writes(base: Path) -> None:
    from kargah.recipes.decoders.predicting import _network

    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    found = tokenizer("باغ شماره", return_tensors="pt")
    theirs = model.generate(**found, max_new_tokens=12, do_sample=False)[0, found["input_ids"].shape[1] :]
    manner = writing.Manner(max_new_tokens=12)
    ours = _network(base, tokenizer, 1)(f"{tokenizer.bos_token}باغ شماره", manner)
    assert ours == tokenizer.decode(theirs, skip_special_tokens=True).rstrip("\ufffd")


# ---- refusals -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("recipe", "based", "spec", "code", "field"),
    [
        ("sft", False, {"adapter": "lora"}, "ADAPTER_NEEDS_BASE", "spec.adapter"),
        ("sft", False, {"quantization": "4bit"}, "ADAPTER_NEEDS_BASE", "spec.quantization"),
        ("sft", True, {"quantization": "4bit"}, "QUANTIZATION_NEEDS_GPU", "spec.quantization"),
        ("sft", True, {"max_length": 65}, "SEQUENCE_TOO_LONG", "spec.max_length"),
        ("sft", True, {"roles": {"instruction": "messages"}}, "ROLE_MISSING", "spec.columns.output"),
    ],
)
def test_what_cannot_go_together_is_refused_before_torch(base: Path, recipe: str, based: bool, spec: Any, code: str, field: str) -> None:
    from kargah.recipes.sft.data import prepare

    with pytest.raises(BadInput) as refused:
        prepare(request_of(recipe, {"messages": TALKS}, base if based else None, **spec))
    assert (refused.value.code, refused.value.params["field"]) == (code, field)
