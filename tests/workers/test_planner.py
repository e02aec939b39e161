"""A training fitted to the machine learns the same; what its first steps foresee is told once and is about right."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from attempts import Job
from test_mending import ROWS, SmallTask, loop_of, messages
from transformers import BertConfig, BertForSequenceClassification

from kargah.engine import products
from kargah.engine.packing import Packed
from kargah.recipes.encoders import TEXTS, Transformer
from kargah.recipes.errors import PrecisionHurts
from kargah.recipes.text_classification.spec import TextClassificationSpec
from kargah.workers import memory, planner, precision
from kargah.workers.planner import Foresight
from kargah.workers.steps import Update
from kargah.workers.wants import Wants

MIB = 1 << 20


def transformer(dropout: float = 0.1) -> Transformer:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, max_position_embeddings=70,
        num_labels=3, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    made = Transformer(BertForSequenceClassification(config), TEXTS)
    made.make_cheap([list(range(300))])
    return made


class TextLike(SmallTask):
    """Rows of tokens through a small transformer, with dropout."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.module = self.network = transformer(dropout)  # type: ignore[assignment]
        self.costs = [3 + row for row in range(ROWS)]
        self.used: list[str] = []

    def weight(self, rows: Any) -> float:
        return len(rows)

    def loss(self, rows: Any) -> torch.Tensor:
        logits = self.network(Packed.of([[5 + (row + place) % 200 for place in range(self.costs[row])] for row in rows]))
        return torch.nn.functional.cross_entropy(logits, torch.tensor([row % 3 for row in rows]))

    def recompute(self) -> bool:
        return self.network.recompute()

    def use_precision(self, precision: str) -> bool:
        self.used.append(precision)
        return True


def gradient_of(task: TextLike, rows: list[int]) -> torch.Tensor:
    torch.manual_seed(11)
    task.module.train()
    task.loss(rows).backward()  # type: ignore[no-untyped-call]
    return torch.cat([parameter.grad.flatten() for parameter in task.module.parameters() if parameter.grad is not None])


def test_planning_leaves_no_trace_in_what_is_learnt(tmp_path: Path, wants: Wants) -> None:
    """Weights, buffers and random state are those of before; the longest row's memory grows with its length."""
    task = TextLike()
    before, state = {name: tensor.clone() for name, tensor in task.module.state_dict().items()}, torch.get_rng_state()
    planned = planner.plan(loop_of(task, tmp_path, wants))
    assert all(torch.equal(before[name], tensor) for name, tensor in task.module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert planned.network.longest == ROWS + 2
    assert planned.network.row_bytes > 3 * 4 * 32 * (ROWS + 2), "three layers keep at least what goes into them"
    assert planned.passes.tokens == sum(sorted(task.costs)[-8:])
    assert {decision.name for decision in task.decisions} == {"micro_batch_tokens", "gradient_checkpointing"}


def test_activations_made_again_give_the_same_gradients_and_take_less(tmp_path: Path, wants: Wants) -> None:
    """Dropout included: what is dropped the second time is what was dropped the first."""
    plain, thrifty = TextLike(), TextLike()
    whole = planner.measured(plain).row_bytes
    assert thrifty.recompute()
    assert planner.measured(thrifty).row_bytes < whole / 2
    assert torch.allclose(gradient_of(plain, [0, 9, 20]), gradient_of(thrifty, [0, 9, 20]), atol=1e-6)


def test_with_little_memory_smaller_passes_learn_what_the_batch_would(tmp_path: Path, wants: Wants) -> None:
    """Where even one row does not fit, activations are made again; where that does not do, it is said."""
    task, tight = SmallTask(), SmallTask()
    loop_of(task, tmp_path / "ample", wants).run()
    loop = loop_of(tight, tmp_path / "tight", wants)
    fixed = int((4 * 8 + 8 * 2) / 0.85)
    assert planner.plan(loop, free_bytes=fixed + 30).passes.tokens < 8
    loop.run()
    assert torch.allclose(tight.module.weight, task.module.weight, atol=1e-5)
    hopeless = TextLike()
    planned = planner.plan(loop_of(hopeless, tmp_path / "none", wants), free_bytes=1000)
    assert planned.passes.recomputed and not planned.passes.fits
    assert [code for code, _ in messages(tmp_path / "none")] == ["train.memory_short"]


def test_an_update_cut_by_tokens_has_the_gradients_of_the_whole_one(tmp_path: Path, wants: Wants) -> None:
    """Over all that is accumulated, whose samples stay what they were; long rows go alone, short ones together."""
    task = TextLike(dropout=0.0)
    task.settings = replace(task.settings, batch_size=6, gradient_accumulation_steps=3)
    loop = loop_of(task, tmp_path, wants)
    batches = loop.batches_by_step(0)[0]
    assert loop.passes(batches) == batches, "what fits goes through as it was asked for"
    found = []
    for tokens in (None, 70):
        loop.state.micro_batch_tokens = tokens
        loop.optimizer.zero_grad()
        loss = loop.group.learn(task, Update(loop.shares(batches), 0, 0.1))
        found.append((loss, torch.cat([one.grad.flatten() for one in task.module.parameters() if one.grad is not None])))
    passes = loop.passes(batches)
    assert sorted(row for rows in passes for row in rows) == sorted(row for batch in batches for row in batch)
    assert len(passes) > 4 and all(sum(task.costs[row] for row in rows) <= 70 for rows in passes)
    (whole_loss, whole), (cut_loss, cut) = found
    assert cut_loss == pytest.approx(whole_loss, rel=1e-6)
    assert float((cut - whole).norm() / whole.norm()) < 1e-5


def test_rows_that_are_compared_with_each_other_stay_in_their_batch(tmp_path: Path, wants: Wants) -> None:
    task = SmallTask()
    task.settings = replace(task.settings, gradient_accumulation_steps=2)
    loop = loop_of(task, tmp_path, wants)
    loop.state.micro_batch_tokens = 5
    batches = loop.batches_by_step(0)[0]
    assert [len(rows) for rows in loop.passes(batches)] == [5, 5, 5, 1]
    loop.compares = True
    assert [len(rows) for rows in loop.passes(batches)] == [5, 3, 5, 3]
    assert [planner.plan(loop, free_bytes=free).passes.decisions()[0].why for free in (1 << 40, 100)] == [
        "why.whole_batch",
        "why.compared_in_passes",
    ]


def test_a_row_that_cannot_be_measured_is_left_to_the_step_that_meets_it(tmp_path: Path, wants: Wants) -> None:
    task = SmallTask(bad_row=0)
    assert planner.plan(loop_of(task, tmp_path, wants)).network.row_bytes == 0


def test_what_the_first_steps_foresee_is_told_once_by_what_they_took(tmp_path: Path, wants: Wants) -> None:
    """The first step, which warms up, does not count: of the others each row takes a quarter of a second."""
    task = SmallTask()
    loop = loop_of(task, tmp_path, wants, max_steps=16)
    foresight = Foresight(loop, planner.plan(loop))
    for number in range(12):
        foresight.note([list(range(8))], 60.0 if number == 0 else 2.0)
    told = messages(tmp_path)
    assert [code for code, _ in told] == ["train.forecast"]
    assert told[0][1]["train_seconds"] == pytest.approx(2.0 * 16)
    assert told[0][1]["peak_memory_bytes"] >= memory.used_bytes() // 2


def test_a_short_training_is_not_foreseen_when_it_is_all_but_over(tmp_path: Path, wants: Wants) -> None:
    loop = loop_of(SmallTask(), tmp_path, wants)
    loop.watch = Foresight(loop, planner.plan(loop)).note
    loop.run()
    assert messages(tmp_path) == []


def test_kernels_for_counts_of_tokens_that_no_step_has_had_are_foreseen(tmp_path: Path, wants: Wants) -> None:
    task = TextLike()
    products.make_products_quick(task.module)
    loop = loop_of(task, tmp_path, wants)
    loop.state.precision = "bf16"  # whose products go to oneDNN on any processor
    foresight, far_above = Foresight(loop, planner.plan(loop)), 1 << 40
    before = foresight.forecast(far_above)["peak_memory_bytes"]
    foresight.steps += [(planner.tokens_of(loop, batches), 1.0) for batches in loop.batches_by_step(0)]
    after = foresight.forecast(far_above)["peak_memory_bytes"]
    assert 256 * 100_000 < before - after < 256 * 2_000_000


def test_the_peak_of_memory_is_seen_and_forgotten_when_asked() -> None:
    taken = torch.ones(40 * MIB)
    high = memory.peak_bytes()
    del taken
    memory.forget_peak()
    assert memory.used_bytes() <= memory.peak_bytes() < high - 100 * MIB
    assert memory.free_bytes() > 0


def settled(folder: Path, wants: Wants, asked: str, gain: float | None, begun_in: str | None = None) -> tuple[Any, TextLike]:
    task = TextLike()
    loop = loop_of(task, folder, wants)
    loop.spec = TextClassificationSpec(precision=asked)  # type: ignore[arg-type]
    decision = precision.settle(loop, dry_run=False, begun_in=begun_in, gain=gain)
    assert loop.state.precision == decision.value
    return decision, task


@pytest.mark.parametrize(
    ("asked", "gain", "used", "why"),
    [
        ("auto", None, "fp32", "why.precision_exact"),
        ("auto", 2.1, "bf16", "why.precision_pays"),
        ("auto", 1.15, "fp32", "why.precision_even"),
        ("auto", 0.008, "fp32", "why.precision_hurts"),
        ("fp32", 2.1, "fp32", "why.chosen"),
        ("bf16", 1.15, "bf16", "why.precision_gains"),
    ],
)
def test_the_precision_is_the_one_asked_for_or_the_one_measured_to_pay_clearly(
    tmp_path: Path, wants: Wants, asked: str, gain: float | None, used: str, why: str
) -> None:
    """So small a network is not measured at all."""
    decision, task = settled(tmp_path, wants, asked, gain)
    assert (decision.value, decision.why, task.used[-1]) == (used, why, used)


def test_a_training_goes_on_in_the_precision_it_began_in_whatever_would_be_measured_now(tmp_path: Path, wants: Wants) -> None:
    assert settled(tmp_path, wants, "auto", 2.1, begun_in="fp32")[0].value == "fp32"


def test_a_machine_that_cannot_go_on_in_a_precision_goes_on_exactly_and_says_so(tmp_path: Path, wants: Wants) -> None:
    decision, _ = settled(tmp_path / "slow", wants, "auto", 0.01, begun_in="bf16")
    assert (decision.value, decision.why) == ("fp32", "why.precision_lost")
    assert [code for code, _ in messages(tmp_path / "slow")] == ["train.precision_lost"]
    assert settled(tmp_path / "fit", wants, "auto", 1.0, begun_in="bf16")[0].value == "bf16"


def test_a_precision_that_is_slower_here_is_refused_with_by_how_much(tmp_path: Path, wants: Wants) -> None:
    with pytest.raises(PrecisionHurts) as refused:
        settled(tmp_path, wants, "bf16", 0.0077)
    assert refused.value.params["times"] == pytest.approx(130, rel=0.02)


def test_a_row_that_the_network_cannot_take_ends_no_training_by_being_measured(tmp_path: Path, wants: Wants) -> None:
    class Broken(TextLike):
        def loss(self, rows: Any) -> torch.Tensor:
            raise IndexError("index out of range in self")

    assert precision.gain_of_steps(loop_of(Broken(), tmp_path, wants)) is None


def test_measuring_precisions_leaves_no_trace(tmp_path: Path, wants: Wants) -> None:
    torch.set_num_threads(1)
    task = TextLike()
    loop, state = loop_of(task, tmp_path, wants), torch.get_rng_state()
    assert (precision.gain_of_half(loop) or 0) > 0
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in task.module.parameters())


def test_a_dry_run_of_a_transformer_measures_what_less_exact_products_would_bring(tmp_path: Path) -> None:
    """By the worker: and what it would train with is what was measured to pay."""
    spec = {"preset": "transformer", "epochs": 1, "baselines": False}
    rows = {"text": [f"{word} {number}" for number in range(30) for word in ("good", "bad")], "label": ["yes", "no"] * 30}
    _, events = Job(tmp_path, "text-classification", rows, spec=spec).run(dry_run=True)
    forecast = events[-1].result["forecast"]
    choices = {choice["name"]: choice for choice in forecast["choices"]}
    assert choices["precision"]["why"] in {"why.precision_hurts", "why.precision_even", "why.precision_pays"}
    assert (choices["precision"]["value"] == "bf16") == (choices["precision"]["why"] == "why.precision_pays")
    assert choices["micro_batch_tokens"]["why"] == "why.whole_batch"
    parts = ("base", "weights", "gradients", "optimizer", "activations", "kept")
    assert all(forecast[f"{part}_bytes"] > 0 for part in parts)
    assert forecast["peak_memory_bytes"] >= sum(forecast[f"{part}_bytes"] for part in parts)
