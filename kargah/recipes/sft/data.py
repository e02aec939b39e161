"""From instructions or conversations to tokens of which the answers are learnt. No torch here."""

import numpy as np

from kargah.recipes.decoders import talks
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
from kargah.recipes.decoders.problem import LanguageProblem
from kargah.recipes.decoders.tokens import Sample
from kargah.recipes.runtime import Decision, Request
from kargah.recipes.sft.spec import RECIPE, WAYS, SftSpec


def prepare(request: Request) -> TokenData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, SftSpec)
    roles, decision = roles_of(request, RECIPE, WAYS)
    problem, clean = LanguageProblem.of("instructions", spec.primary_metric), cleaner(request)
    units = units_of(request, [talks.talk_of(row, clean) for row in rows_by_role(request, roles)], group=talks.group_of)
    vocabulary, size, decisions = vocabulary_of(request, talks.texts_of(units.of(units.parts.train.tolist())))
    found = talks.samples(units.values, vocabulary, request.check)
    limit = longest_of(request, size)
    longest = max(sample.cost for sample in found)
    length = limit if spec.max_length is not None else max(8, min(longest, limit))
    made = cut_to(request, units, found, length)
    told = length_decision(request, length, longest, sum(sample.cost > length for sample in found), limit)
    learnt = Decision("learnt_tokens", _learnt_share(found), "inherited", "why.learnt_tokens", {"percent": _learnt_share(found)})
    stop = talks.ends_of(found)
    return token_data(request, problem, units, made, vocabulary, size, length, roles, [decision, *decisions, told, learnt], stop)


def _learnt_share(found: list[Sample]) -> float:
    """In per cent."""
    learnt = sum(int(np.sum(sequence.learnt)) for sample in found for sequence in sample.sequences)
    return round(100 * learnt / max(1, sum(sample.cost for sample in found)), 1)
