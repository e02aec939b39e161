"""Pairs of answers: the losses as their papers state them, and a model that comes to prefer what it was shown."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.decoders import SENTENCES, SMALL, request_of, task_of

from kargah.recipes.preference.losses import LOSSES, Answers, Weights
from kargah.recipes.preference.problem import PreferenceProblem

PAIRS = {
    "prompt": [f"رنگ باغ {number} چیست؟" for number in range(24)],
    "chosen": [f"باغ {number} سبز است." for number in range(24)],
    "rejected": [f"باغ {number} سیاه است و نیست." for number in range(24)],
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    task_of("causal-lm", {"text": SENTENCES}, **SMALL).save(folder)
    return folder


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


#: Of one row, by the papers: (summed log-likelihoods, references and tokens of the chosen and the rejected answer, beta, gamma, kl).
STATED: dict[str, Any] = {
    "dpo": lambda c, r, rc, rr, n, m, b, g, k: -math.log(sigmoid(b * (c - rc) - b * (r - rr))),
    "ipo": lambda c, r, rc, rr, n, m, b, g, k: ((c - rc) / n - (r - rr) / m - 1 / (2 * b)) ** 2,
    "orpo": lambda c, r, rc, rr, n, m, b, g, k: (
        -c / n
        - b * math.log(sigmoid(math.log(math.exp(c / n) / (1 - math.exp(c / n))) - math.log(math.exp(r / m) / (1 - math.exp(r / m)))))
    ),
    "kto": lambda c, r, rc, rr, n, m, b, g, k: (1 - sigmoid(b * (c - rc - k)) + 1 - sigmoid(b * (k - (r - rr)))) / 2,
    "simpo": lambda c, r, rc, rr, n, m, b, g, k: -math.log(sigmoid(b / n * c - b / m * r - b * g)),
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_what_its_paper_states(name: str) -> None:
    generator = np.random.default_rng(3)
    for _ in range(50):
        n, m = generator.integers(1, 30, 2).tolist()
        c, rc, r, rr = (-generator.uniform(0.05, 4, 4) * np.array([n, n, m, m])).tolist()
        b, g, k = generator.uniform(0.05, 2), generator.uniform(0, 1), generator.uniform(0, 3)
        chosen, rejected = (
            Answers(*(torch.tensor([value], dtype=torch.float64) for value in values)) for values in ((c, rc, n), (r, rr, m))
        )
        told = LOSSES[name](chosen, rejected, Weights(b, g, torch.tensor(k)))
        assert float(told.losses[0]) == pytest.approx(STATED[name](c, r, rc, rr, n, m, b, g, k), rel=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_model_comes_to_prefer_the_chosen_answers(base: Path, name: str) -> None:
    task = task_of("preference", PAIRS, base, **{**SMALL, "loss": name, "adapter": "lora"})
    first = task.data.evaluate("validation", task.scores(lambda: None)).metrics
    if name in ("dpo", "kto", "ipo"):
        assert first["reward_margin"] == pytest.approx(0, abs=1e-4), "nothing is learnt, nothing is preferred"
    optimizer = torch.optim.AdamW([one for one in task.module.parameters() if one.requires_grad], lr=1e-2)
    losses = []
    for _ in range(15):
        task.module.train()
        optimizer.zero_grad()
        loss = task.loss(range(8))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    last = task.data.evaluate("validation", task.scores(lambda: None)).metrics
    assert last["reward_margin"] > first["reward_margin"]


def test_pairs_that_prefer_nothing_are_left_out_and_talks_are_pairs_too() -> None:
    from kargah.recipes.preference.data import pair_of, prepare

    def clean(value: Any) -> str:
        return "" if value is None else str(value)

    for row in ({"prompt": "الف", "chosen": "ب", "rejected": "ب"}, {"prompt": "الف", "chosen": "ب", "rejected": None}):
        assert pair_of(row, clean) is None
    asked, answers = {"role": "user", "content": "الف"}, [{"role": "assistant", "content": word} for word in "بپ"]
    plain = pair_of({"prompt": "الف", "chosen": "ب", "rejected": "پ"}, clean)
    assert plain == ((asked, answers[0]), (asked, answers[1]))
    assert pair_of({"chosen": [asked, answers[0]], "rejected": [asked, answers[1]]}, clean) == plain
    assert pair_of({"prompt": [asked], "chosen": [answers[0]], "rejected": [answers[1]]}, clean) == plain
    data = prepare(request_of("preference", PAIRS, **SMALL))
    tokenizer = data.vocabulary.tokenizer
    for sequence, answer in zip(data.samples[0].sequences, (PAIRS["chosen"], PAIRS["rejected"]), strict=True):
        assert tokenizer.decode(sequence.ids[sequence.learnt]).removesuffix(tokenizer.eos_token) in answer


def test_equal_rewards_are_half_right() -> None:
    told = PreferenceProblem.of("auto").evaluate(np.zeros(4), np.array([[1.0, 2, 1], [1, 1, 1], [1, 1, 2], [3, 0, 0]]), with_interval=True)
    assert told.metrics == {"eval_loss": 1.5, "preference_accuracy": 0.5, "reward_margin": 0.0}
    assert told.interval is not None
    assert told.interval[0] < 0.5 < told.interval[1]
