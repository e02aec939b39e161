"""What every recipe's spec shares. A spec is one pydantic model; the form, the API schema, the CLI and the YAML come from it.

Text for people is not here: a field's label and help are the keys ``spec.<field>.label`` and ``spec.<field>.help``
(or ``spec.<recipe>.<field>.…`` where one recipe means something of its own).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kargah.recipes.columns import Column

AUTO = "auto"


def knob(default: Any, *, basic: bool = False, group: str = "training", **limits: Any) -> Any:
    """A field of a spec. ``basic`` fields show in the short form; ``group`` is the heading they stand under."""
    return Field(default, json_schema_extra={"basic": basic, "group": group}, **limits)


class Spec(BaseModel):
    """Fields common to all recipes. None means: decided from the data when the job starts, and shown with the reason."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    columns: dict[str, str | list[str]] = knob({}, basic=True, group="data")
    seed: int = knob(42, group="reproducibility", ge=0, le=2**31 - 1)
    threads: int | None = knob(None, group="hardware", ge=1, le=256)
    processes: int | None = knob(None, group="hardware", ge=1, le=64)
    epochs: float | None = knob(None, basic=True, gt=0, le=1000)
    max_steps: int | None = knob(None, ge=1, le=10_000_000)
    batch_size: int | None = knob(None, basic=True, ge=1, le=4096)
    learning_rate: float | None = knob(None, basic=True, gt=0, le=10)
    weight_decay: float = knob(0.0, ge=0, le=1)
    warmup_ratio: float = knob(0.06, ge=0, le=1)
    max_grad_norm: float = knob(1.0, ge=0, le=1000)
    gradient_accumulation_steps: int = knob(1, ge=1, le=1024)
    validation_share: float = knob(0.1, group="data", gt=0, lt=0.9)
    early_stopping_patience: int | None = knob(None, ge=1, le=100)
    ema_decay: float | None = knob(None, gt=0, lt=1)
    checkpoint_seconds: float = knob(30.0, group="reproducibility", ge=0, le=86_400)
    checkpoint_steps: int | None = knob(None, group="reproducibility", ge=1, le=10_000_000)
    keep_checkpoints: int = knob(2, group="reproducibility", ge=1, le=100)
    keep_best_checkpoint: bool = knob(True, group="reproducibility")
    skip_bad_rows: bool = knob(False, group="data")
    baselines: bool = knob(True, group="baselines")


@dataclass(frozen=True)
class Role:
    """A place that columns can take. ``many``: takes a list of columns."""

    name: str
    required: bool = True
    many: bool = False


#: Says of each row whether it trains, validates or tests. Every recipe takes it.
SPLIT = Role("split", required=False)


@dataclass(frozen=True)
class Match:
    """What a recipe proposes for a table: how sure it is (0–1), which columns, and why (text keys with parameters)."""

    score: float
    columns: dict[str, str | list[str]]
    reasons: tuple[tuple[str, dict[str, Any]], ...]
    spec: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """A field of what a model of a recipe is asked. ``is_column``: ``name`` is a column's own name, else a role's."""

    name: str
    long: bool = True
    is_column: bool = False
    required: bool = True


Roles = Mapping[str, str | list[str]]


def asked_roles(first: str, *further: str) -> Callable[[Roles], list[Question]]:
    """The first role always, the further ones where columns were learnt in them."""
    return lambda columns: [Question(first), *(Question(role) for role in further if columns.get(role))]


def _never(spec: Any) -> bool:
    del spec
    return False


def _all_fits(spec: Any, has_base_model: bool) -> None:
    del spec, has_base_model


def _of_a_transformer(spec: Any, has_base_model: bool) -> bool:
    """Smaller networks, where a recipe has any, wait for a graphics card longer than they compute."""
    return has_base_model or getattr(spec, "preset", "transformer") == "transformer"


@dataclass(frozen=True)
class Recipe:
    """A task the system can learn. ``target`` is the role that is learned ("" where the text itself is), ``runtime`` the package whose
    code workers import.

    ``questions``: what its models are asked, given the columns that were learnt from. ``pipeline_tags``: what hubs call its tasks, by the
    kind of problem; "" for all others. ``structures``: tasks that the form of columns tells (``recipes.tasks``) and that it learns.
    ``evaluates``: its finished models can be measured on rows with known answers (``recipes.evaluation``). ``check``: of a whole spec, and
    whether there is a base model; raises a BadInput for what can be told before the data are read.
    ``compares``: whether, with this spec, rows of a batch are compared with each other: fewer at once teach something else.
    ``gains_by_gpu``: whether such a training goes to a graphics card where there is one; asked as ``check`` is.
    """

    name: str
    spec: type[Spec]
    roles: tuple[Role, ...]
    target: str
    runtime: str
    guess: Callable[[list[Column]], Match | None]
    questions: Callable[[Roles], list[Question]]
    pipeline_tags: Mapping[str, str]
    starts_from: tuple[str, ...] = ("scratch",)
    structures: tuple[str, ...] = ()
    learns_from_teachers: bool = False
    evaluates: bool = False
    check: Callable[[Any, bool], None] = _all_fits
    compares: Callable[[Any], bool] = _never
    gains_by_gpu: Callable[[Any, bool], bool] = _of_a_transformer
    version: int = 1

    def pipeline_tag(self, kind: str) -> str:
        return self.pipeline_tags.get(kind) or self.pipeline_tags[""]
