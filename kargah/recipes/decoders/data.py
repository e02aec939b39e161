"""What preparing has in common for all that learns to write: columns, normalised texts, parts, the tokenizer, lengths. No torch here."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kargah.kit import files
from kargah.recipes import catalogue, new_tokens, weights
from kargah.recipes.base import Recipe
from kargah.recipes.decoders import sizes, tokens
from kargah.recipes.decoders.sizes import Size
from kargah.recipes.decoders.spec import DecoderSpec
from kargah.recipes.decoders.talks import cut
from kargah.recipes.decoders.tokens import Sample, Vocabulary
from kargah.recipes.distillation import check_language_teacher
from kargah.recipes.errors import AdapterNeedsBase, NormalisersDiffer, QuantizationNeedsGpu, RoleMissing, SequenceTooLong, TooFewRows
from kargah.recipes.parts import Parts, Sources, divide, named_parts, source_decisions, sources_of
from kargah.recipes.problem import Problem
from kargah.recipes.runtime import Decision, Prepared, Request
from kargah.recipes.table import normaliser_of

#: A base model may take more; from here on time and memory grow with the square.
_LONGEST_UNASKED = 2048
Roles = dict[str, str]


@dataclass
class TokenData(Prepared):
    """``samples``: all rows as tokens; the rows of ``Prepared`` are numbers of those. ``size``: of a network from scratch, else null.

    ``stop``: tokens that end what the model writes.
    """

    samples: list[Any]
    vocabulary: Vocabulary
    max_length: int
    size: Size | None
    stop: list[int]

    def samples_of(self, part: str) -> list[Any]:
        return [self.samples[row] for row in self.rows_of(part)]


@dataclass(frozen=True)
class Units:
    """What the data consist of before they are tokens: texts, talks, pairs. ``groups``: equal ones are never on both sides of a split."""

    values: list[Any]
    parts: Parts
    sources: Sources | None

    def of(self, rows: Sequence[int]) -> list[Any]:
        return [self.values[row] for row in rows]


def roles_of(request: Request, recipe: Recipe, ways: Sequence[tuple[str, ...]]) -> tuple[Roles, Decision]:
    """Which column takes which role. ``ways``: sets of roles of which one must be whole. Raises RoleMissing."""
    spec, given = request.spec.columns, "columns" in request.chosen
    if not spec:
        match = catalogue.match_of(recipe, list(request.tables[0].columns.values()))
        spec = match.columns if match else {}
    roles = {role: taken[0] if isinstance(taken, list) else taken for role, taken in spec.items() if taken and role != "split"}
    if not any(all(role in roles for role in way) for way in ways):
        nearest = max(ways, key=lambda way: sum(role in roles for role in way))
        missing = next(role for role in nearest if role not in roles)
        raise RoleMissing(field=f"spec.columns.{missing}", role=missing)
    source, why = ("chosen", "why.chosen") if given else ("adapted", "why.columns_guessed")
    return roles, Decision("columns", {**spec}, source, why)


def values_of(request: Request, role: str, column: str) -> list[Any]:
    """All tables one after another, as they are."""
    if any(table.normaliser != request.tables[0].normaliser for table in request.tables):
        raise NormalisersDiffer(field="datasets")
    return [value for table in request.tables for value in table.column(column, role)]


def rows_by_role(request: Request, roles: Roles) -> Iterator[dict[str, Any]]:
    """Each row of all tables as {role: value}."""
    columns = [values_of(request, role, column) for role, column in roles.items()]
    return (dict(zip(roles, row, strict=True)) for row in zip(*columns, strict=True))


def cleaner(request: Request) -> Callable[[Any], str]:
    """The data set's normaliser for one value; None is no text."""
    normaliser = normaliser_of(request.tables[0].normaliser)

    def cleaned(value: Any) -> str:
        text = "" if value is None else str(value)
        return normaliser.apply(text) if normaliser else text.strip()

    return cleaned


def units_of(request: Request, values: Sequence[Any], group: Callable[[Any], Hashable]) -> Units:
    """``values``: one a row, None for a row that nothing can be learnt from: left out, and counted. Raises TooFewRows."""
    usable = [row for row, value in enumerate(values) if value is not None]
    if len(usable) < len(values):
        request.log("train.rows_dropped", level="warning", dropped=len(values) - len(usable), rows=len(values))
    if len(usable) < 2:
        raise TooFewRows(field="datasets", rows=len(usable), needed=2)
    kept, named = [values[row] for row in usable], named_parts(request)
    parts = divide(request, named and [named[row] for row in usable], [group(value) for value in kept], [0] * len(kept))
    return Units(kept, parts, sources_of(request, usable))


def vocabulary_of(request: Request, texts: Sequence[str]) -> tuple[Vocabulary, Size | None, list[Decision]]:
    """The base model's tokenizer, or a teacher's, or one made of ``texts``. Raises what cannot go together: AdapterNeedsBase,
    QuantizationNeedsGpu, TeacherTokensUnfit."""
    vocabulary, size, decisions = _vocabulary_of(request, texts)
    return replace(vocabulary, kept=request.kept), size, decisions


def _vocabulary_of(request: Request, texts: Sequence[str]) -> tuple[Vocabulary, Size | None, list[Decision]]:
    spec = request.spec
    assert isinstance(spec, DecoderSpec)
    check_language_teacher(request)
    if request.base_model is not None:
        weights.shapes_of(request.base_model)
        _check_quantization(spec)
        vocabulary = tokens.of_base(request.base_model, request.tables[0].normaliser)
        growth = new_tokens.learnt(request, vocabulary.tokenizer, texts)
        return (Vocabulary(growth.tokenizer, growth), None, [growth.decision]) if growth else (vocabulary, None, [])
    if spec.adapter not in ("auto", "none") or spec.quantization != "none":
        raise AdapterNeedsBase(field="spec.adapter" if spec.quantization == "none" else "spec.quantization")
    size, decisions = _size(spec, sum(map(len, texts)))
    request.check()
    if request.teacher_model is not None:
        vocabulary = tokens.of_base(request.teacher_model, request.tables[0].normaliser)
        count = Decision("vocab_size", len(vocabulary.tokenizer), "adapted", "why.tokens_of_teacher")
        return vocabulary, size, [*(decision for decision in decisions if decision.name != "vocab_size"), count]
    vocabulary = tokens.trained(texts, spec.tokenizer, size.vocab_size, request.tables[0].normaliser)
    tokenizer = Decision(
        "tokenizer", spec.tokenizer, *(("chosen", "why.chosen") if "tokenizer" in request.chosen else ("inherited", "why.inherited"))
    )
    return vocabulary, size, [*decisions, tokenizer]


def _size(spec: DecoderSpec, characters: int) -> tuple[Size, list[Decision]]:
    size = sizes.for_text(characters) if spec.size == "auto" else sizes.SIZES[spec.size]
    how = ("adapted", "why.size_by_text") if spec.size == "auto" else ("chosen", "why.chosen")
    decisions = [Decision("size", size.name, *how, {"characters": characters})]
    changed = {name: value for name in ("hidden_size", "num_layers", "vocab_size", "dropout") if (value := getattr(spec, name)) is not None}
    for name in ("hidden_size", "num_layers", "vocab_size", "dropout"):
        how = ("chosen", "why.chosen") if name in changed else ("adapted", "why.preset")
        decisions.append(Decision(name, changed.get(name, getattr(size, name)), *how, {"preset": size.name}))
    return replace(size, **changed), decisions


def _check_quantization(spec: DecoderSpec) -> None:
    """Without loading torch: whether there is a GPU, and what quantises for it."""
    from importlib.util import find_spec
    from pathlib import Path

    if spec.quantization != "none" and (find_spec("bitsandbytes") is None or not Path("/proc/driver/nvidia").exists()):
        raise QuantizationNeedsGpu(field="spec.quantization", quantization=spec.quantization)


def longest_of(request: Request, size: Size | None) -> int:
    """Tokens that the model takes at most, as far as that is known before it is loaded. Raises SequenceTooLong for a wish beyond it."""
    limit = _LONGEST_UNASKED if size is None else size.max_length
    wanted = getattr(request.spec, "max_length", None)
    for folder in filter(None, (request.base_model, request.teacher_model)):
        about = files.read_json(folder / "config.json") if (folder / "config.json").exists() else {}
        room = [int(about[name]) for name in ("max_position_embeddings", "sliding_window") if about.get(name)]
        if wanted is not None and room and wanted > min(room):
            raise SequenceTooLong(field="spec.max_length", max_length=wanted, limit=min(room))
        limit = min([limit, *room])
    return int(wanted) if wanted is not None else limit


def length_decision(request: Request, value: int, longest: int, cut: int, limit: int) -> Decision:
    if getattr(request.spec, "max_length", None) is not None:
        return Decision("max_length", value, "chosen", "why.chosen")
    return Decision("max_length", value, "adapted", "why.max_length", {"longest": longest, "cut": cut, "limit": limit})


def cut_to(request: Request, units: Units, found: Sequence[Sample], length: int) -> dict[str, list[tuple[int, Sample]]]:
    """The samples of each part, no sequence longer than ``length``. Those whose answer lies beyond it are left out; it is said how many."""
    left = [cut(sample, length) for sample in found]
    shortened = sum(any(len(sequence.ids) > length for sequence in sample.sequences) for sample in found)
    if shortened:
        lost = sum(sample is None for sample in left)
        request.log("train.sequences_cut", level="warning", cut=shortened, lost=lost, rows=len(found), max_length=length)
    parts = {"train": units.parts.train, "validation": units.parts.validation, "test": units.parts.test}
    return {part: [(row, sample) for row in rows.tolist() if (sample := left[row]) is not None] for part, rows in parts.items()}


def token_data(
    request: Request, problem: Problem, units: Units, made: dict[str, list[tuple[int, Any]]],
    vocabulary: Vocabulary, size: Size | None, max_length: int, columns: Roles, decisions: list[Decision], stop: Sequence[int] = (),
) -> TokenData:  # fmt: skip
    """``made``: the samples of each part, each with the number of the unit that it comes from. Raises TooFewRows for a part without any."""
    rows: dict[str, Any] = {}
    samples: list[Any] = []
    origin: list[int] = []
    for part, found in made.items():
        rows[part] = np.arange(len(samples), len(samples) + len(found), dtype=np.int64)
        samples += [sample for _, sample in found]
        origin += [unit for unit, _ in found]
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise TooFewRows(field="datasets", rows=0, needed=1)
    sources = units.sources and replace(units.sources, of_row=units.sources.of_row[np.asarray(origin, dtype=np.int64)])
    normaliser = request.tables[0].normaliser
    ends = [] if vocabulary.end is None else [vocabulary.end]
    describe = {**problem.as_dict(), "columns": columns, "normaliser": normaliser, "max_length": max_length}
    return TokenData(
        problem, np.array([sample.text_bytes for sample in samples], dtype=np.float64), rows["train"], rows["validation"], describe,
        [*decisions, *units.parts.decisions, *source_decisions(sources)], samples, vocabulary, max_length, size,
        sorted({*ends, *stop}), test_rows=rows["test"], split_column=units.parts.column, sources=sources,
    )  # fmt: skip


__all__ = ["Sample", "TokenData", "Units", "cleaner", "token_data", "units_of", "values_of", "vocabulary_of"]
