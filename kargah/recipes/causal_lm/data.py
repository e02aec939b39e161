"""From a column of texts to rows of tokens: joined, cut to the model's length, each text seeing only itself. No torch here."""

from kargah.recipes.causal_lm.spec import RECIPE, CausalLMSpec
from kargah.recipes.decoders import tokens
from kargah.recipes.decoders.data import (
    TokenData,
    cleaner,
    longest_of,
    roles_of,
    token_data,
    units_of,
    values_of,
    vocabulary_of,
)
from kargah.recipes.decoders.problem import LanguageProblem
from kargah.recipes.runtime import Decision, Request


def prepare(request: Request) -> TokenData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, CausalLMSpec)
    roles, decision = roles_of(request, RECIPE, [("text",)])
    problem, clean = LanguageProblem.of("language_modeling", spec.primary_metric), cleaner(request)
    units = units_of(request, [clean(value) or None for value in values_of(request, "text", roles["text"])], group=str)
    parts = {"train": units.parts.train, "validation": units.parts.validation, "test": units.parts.test}
    vocabulary, size, decisions = vocabulary_of(request, units.of(units.parts.train.tolist()))
    length = longest_of(request, size)
    made = {}
    for part, rows in parts.items():
        # By data set, so that a row is of one of them: each is weighed, and told of, by itself.
        of = units.sources.of_row[rows] if units.sources else rows * 0
        own = [rows[of == number].tolist() for number in sorted(set(of.tolist()))]
        made[part] = [(each[0], sample) for each in own for sample in tokens.blocks(units.of(each), vocabulary, length, request.check)]
    chosen = spec.max_length is not None
    decisions = [decision, *decisions, Decision("max_length", length, *(("chosen", "why.chosen") if chosen else ("adapted", "why.blocks")))]
    return token_data(request, problem, units, made, vocabulary, size, length, roles, decisions)
