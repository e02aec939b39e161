"""From prompts with two answers to pairs of token sequences. No torch here."""

from typing import Any

from kargah.recipes.decoders import talks
from kargah.recipes.decoders.chat import ASSISTANT
from kargah.recipes.decoders.data import (
    TokenData,
    cleaner,
    cut_to,
    length_decision,
    longest_of,
    roles_of,
    rows_by_role,
    token_data,
    units_of,
    vocabulary_of,
)
from kargah.recipes.decoders.talks import Clean, Talk
from kargah.recipes.decoders.tokens import Sample, Tokens
from kargah.recipes.preference.problem import PreferenceProblem
from kargah.recipes.preference.spec import RECIPE, PreferenceSpec
from kargah.recipes.runtime import Decision, Request

#: The talk that ends with the chosen answer, and the one that ends with the rejected one.
Pair = tuple[Talk, Talk]


def prepare(request: Request) -> TokenData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, PreferenceSpec)
    roles, decision = roles_of(request, RECIPE, [("chosen", "rejected")])
    problem, clean = PreferenceProblem.of(spec.primary_metric), cleaner(request)
    units = units_of(request, [pair_of(row, clean) for row in rows_by_role(request, roles)], group=prompt_of)
    taught = [talk for pair in units.of(units.parts.train.tolist()) for talk in pair]
    vocabulary, size, decisions = vocabulary_of(request, talks.texts_of(taught))
    sides = [talks.samples([pair[side] for pair in units.values], vocabulary, request.check) for side in (0, 1)]
    stop = talks.ends_of([*sides[0], *sides[1]])
    found = [
        Sample((_last_answer(one), _last_answer(other)), 0) for one, other in zip(*(side_sequences(side) for side in sides), strict=True)
    ]
    limit = longest_of(request, size)
    longest = max(len(sequence.ids) for sample in found for sequence in sample.sequences)
    length = limit if spec.max_length is not None else max(8, min(longest, limit))
    made = cut_to(request, units, found, length)
    told = length_decision(request, length, longest, sum(any(len(one.ids) > length for one in sample.sequences) for sample in found), limit)
    name, how = loss_of(spec, request.base_model is not None)
    decisions = [decision, *decisions, told, Decision("loss", name, *how)]
    return token_data(request, problem, units, made, vocabulary, size, length, roles, decisions, stop)


def loss_of(spec: PreferenceSpec, based: bool) -> tuple[str, tuple[str, str]]:
    if spec.loss != "auto":
        return spec.loss, ("chosen", "why.chosen")
    return ("dpo", ("adapted", "why.loss_with_base")) if based else ("orpo", ("adapted", "why.loss_without_base"))


def pair_of(row: dict[str, Any], clean: Clean) -> Pair | None:
    """None where an answer is missing, or both are the same: nothing is preferred there."""
    chosen, rejected = (_talk(row, row[side], clean) for side in ("chosen", "rejected"))
    return (chosen, rejected) if chosen and rejected and chosen != rejected else None


def _talk(row: dict[str, Any], answer: Any, clean: Clean) -> Talk | None:
    """``answer``: a text, or the turns of a talk that ends with it (after the prompt, where that is not in it)."""
    asked = row.get("prompt")
    before = asked if isinstance(asked, list) else [{"role": "user", "content": asked}] if asked else []
    after = answer if isinstance(answer, list) else [{"role": ASSISTANT, "content": answer}]
    turns = after if len(after) > 1 else [*before, *after]
    return talks.talk_of({"messages": turns, "system": row.get("system")}, clean) if turns and turns[-1]["role"] == ASSISTANT else None


def prompt_of(pair: Pair) -> tuple[str, ...]:
    """Pairs of one prompt stand on one side of a split."""
    return talks.group_of(pair[0][:-1])


def side_sequences(found: list[Sample]) -> list[Tokens]:
    return [sample.sequences[0] for sample in found]


def _last_answer(sequence: Tokens) -> Tokens:
    """Earlier answers are what was asked, so to say."""
    learnt = sequence.learnt.copy()
    gaps = (~learnt).nonzero()[0]
    before = gaps[gaps < learnt.nonzero()[0][-1]]
    learnt[: before[-1] + 1] = False
    return Tokens(sequence.ids, learnt)
