"""What a model will see of a data set: the tokens of its rows, where they are cut, and which length would hold them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.datasets import rows, versions
from kargah.datasets import service as datasets
from kargah.datasets.rows import Bin, Table
from kargah.kit.errors import BadInput, KargahError
from kargah.models import service as models
from kargah.models.schemas import ModelOut, ModelVersionOut
from kargah.recipes import catalogue
from kargah.recipes.columns import Column, ColumnKind
from kargah.recipes.errors import BaseModelUnusable, ChatTemplateUnfit, ColumnMissing, NoTokenizer, TrainingNotInstalled
from kargah.recipes.tasks import by_structure
from kargah.store.access import Actor, To

WORKER = "kargah.workers.tokens"
#: Files that a tokenizer may be made of; weights are never laid out for it.
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model")
BESIDE = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")
MOST_ROWS = 50
REFUSALS: tuple[type[KargahError], ...] = (NoTokenizer, BaseModelUnusable, ChatTemplateUnfit, TrainingNotInstalled)
#: A share of unknown tokens, and tokens a word, beyond which the tokenizer was made for another language.
UNKNOWN_SHARE, PIECES = 0.01, 3.0


class NoTextColumn(BadInput):
    """``columns``: those there are."""

    code = "NO_TEXT_COLUMN"


@dataclass(frozen=True)
class Asked:
    """``text``, ``text_pair``: columns; proposed ones when none is named. ``max_length``: null for what the data suggest."""

    model: str
    max_length: int | None = None
    offset: int = 0
    limit: int = 10
    text: str | None = None
    text_pair: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Wish:
    """What is told to the worker, of which table."""

    table: Table
    told: dict[str, Any]


class Token(BaseModel):
    """``state``: special (added by the tokenizer, or by the template of a conversation), kept, learnt (of a conversation) or cut.
    ``tag``: of a tagged word, at the first of its pieces."""

    text: str
    id: int
    state: str
    tag: str = ""


class SeenRow(BaseModel):
    """``texts``: as the normaliser leaves them; ``changed``: whether it changed any. ``label_id``: null where the label is no class."""

    number: int
    texts: list[str]
    changed: bool
    tokens: list[Token]
    length: int
    label: str | None = None
    label_id: int | None = None


class Finding(BaseModel):
    code: str
    params: dict[str, Any]


class Seen(BaseModel):
    """Of ``sampled`` rows, every ``every``-th: how many would be ``cut`` at ``max_length``, their ``words`` and ``tokens``, the spread of
    their lengths (``bins``, special tokens included). ``suggested`` holds 99 % of them whole, so far
    as the model takes such lengths (``limit``). Of conversations also the tokens that are ``learnt`` of those, and the rows that are
    ``lost``: with no answer, or with one that lies beyond ``max_length``."""

    version_id: str
    model_version_id: str
    columns: list[str]
    rows: list[SeenRow]
    total: int
    next_cursor: str | None
    sampled: int
    every: int
    max_length: int
    suggested: int
    limit: int
    longest: int
    cut: int
    cut_at_suggested: int
    words: int
    tokens: int
    unknown: int
    bins: list[Bin]
    learnt: int | None = None
    lost: int | None = None
    findings: list[Finding]


def wish_of(session: Session, actor: Actor, dataset_id: str, asked: Asked, home: Path) -> Wish:
    """All that the worker is told. Raises NoTokenizer, NoTextColumn, ColumnMissing."""
    table = rows.table_of(session, actor, dataset_id, home, asked.version)
    version = versions.version_of(session, datasets.loaded(session, actor, dataset_id, To.READ), table.version_id)
    model = models.get_version_for(session, actor, asked.model)
    if not has_tokens(model):
        raise NoTokenizer(field="model", reason=model.architecture)
    talk = _talk(table.columns, asked)
    tagged = _tagged(table.columns, asked)
    texts, label = ([*talk.values(), *tagged.values()], None) if talk or tagged else _columns(table.columns, asked)
    wanted = {*TOKENIZER_FILES, *BESIDE}
    files = {entry.path: str(blobs.path_of(home, entry.sha256)) for entry in model.files if entry.path in wanted}
    told: dict[str, Any] = {
        "talk": talk,
        "tagged": tagged,
        "texts": texts,
        "label": label.name if label else None,
        "classes": _classes(label),
        "normaliser": version.normaliser,
        "model_files": files,
        "max_length": asked.max_length,
    }
    told |= {"offset": asked.offset, "limit": min(asked.limit, MOST_ROWS)}
    return Wish(table, told)


def has_tokens(model: ModelVersionOut) -> bool:
    return any(entry.path in TOKENIZER_FILES for entry in model.files)


def models_with_tokens(session: Session, actor: Actor) -> list[tuple[ModelOut, ModelVersionOut]]:
    """The newest version of each that has a tokenizer, those that one can start from first."""
    found: dict[str, tuple[ModelOut, ModelVersionOut]] = {}
    for source in ("local", "training"):
        for model in models.list_for(session, actor, source=source).items:
            version = next((version for version in model.versions if has_tokens(version)), None)
            if version is not None:
                found.setdefault(model.id, (model, version))
    return list(found.values())


async def seen(wish: Wish, model_version_id: str) -> Seen:
    """Raises what the worker refuses; RowsUnreadable when it says nothing in time."""
    answer = await rows.asked(wish.table, wish.told, WORKER)
    if "refused" in answer:
        raise _refusal(answer["refused"])
    end = wish.told["offset"] + len(answer["rows"])
    bins = [dict(zip(Bin.model_fields, edges, strict=True)) for edges in answer["bins"]]
    told = {**answer, "bins": bins, "columns": wish.told["texts"], "next_cursor": str(end) if end < answer["total"] else None}
    return Seen.model_validate(
        {**told, "version_id": wish.table.version_id, "model_version_id": model_version_id, "findings": findings_of(answer)}
    )


def findings_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    """What of it one should know, in order of weight: codes with parameters."""
    share, left = (told[name] / max(1, told["sampled"]) for name in ("cut", "cut_at_suggested"))
    lengths = {
        "max_length": told["max_length"],
        "suggested": told["suggested"],
        "longest": told["longest"],
        "percent": round(100 * share, 1),
        "left": round(100 * left, 1),
    }
    found = [{"code": "tokens.cut" if told["cut"] else "tokens.whole", "params": lengths}]
    if told["cut"] and told["suggested"] > told["max_length"]:
        found.append({"code": "tokens.longer", "params": lengths})
    elif told["cut"] and told["max_length"] == told["limit"]:
        found.append({"code": "tokens.limit_reached", "params": lengths})
    elif told["suggested"] < told["max_length"]:
        found.append({"code": "tokens.shorter", "params": lengths})
    if told.get("learnt") is not None:
        found.append({"code": "tokens.answers", "params": {"percent": round(100 * told["learnt"] / max(1, told["tokens"]), 1)}})
    if told.get("lost"):
        found.append({"code": "tokens.lost", "params": {"lost": told["lost"], "sampled": told["sampled"]}})
    pieces = told["tokens"] / max(1, told["words"])
    if told["unknown"] > UNKNOWN_SHARE * max(1, told["tokens"]):
        found.append({"code": "tokens.unknown", "params": {"percent": round(100 * told["unknown"] / told["tokens"], 1)}})
    if pieces > PIECES:
        found.append({"code": "tokens.in_pieces", "params": {"pieces": round(pieces, 1)}})
    return found


def _talk(columns: list[Column], asked: Asked) -> dict[str, str]:
    """Role → column where the form of the columns tells of conversations and no text was named; of pairs, the answer that was chosen."""
    task = by_structure(columns) if not asked.text else None
    if task is None or task.name not in ("sft", "dpo"):
        return {}
    roles = {("completion" if role == "chosen" else role): column for role, column in task.columns.items() if role != "rejected"}
    kinds = {column.name: column.kind for column in columns}
    return {} if "completion" in roles and kinds[roles["completion"]] is ColumnKind.MESSAGES else roles


def _tagged(columns: list[Column], asked: Asked) -> dict[str, str]:
    """Role → column where the form of the columns tells of tagged words and no text was named."""
    task = by_structure(columns) if not asked.text else None
    return task.columns if task is not None and task.name == "token-classification" else {}


def _columns(columns: list[Column], asked: Asked) -> tuple[list[str], Column | None]:
    """(text columns, label): those named, else those that a text recipe proposes, else the first column of text."""
    known = {column.name: column for column in columns}
    guessed = next((match.columns for recipe, match in catalogue.guess(columns) if "text" in match.columns), {})
    plain = [column.name for column in columns if column.kind is ColumnKind.TEXT]
    text = asked.text or guessed.get("text") or (plain[0] if plain else None)
    if not isinstance(text, str):
        raise NoTextColumn(field="text", columns=", ".join(known))
    proposed = guessed.get("text_pair") if not asked.text else None
    pair, label = asked.text_pair or proposed, guessed.get("label")
    texts = [text, pair] if isinstance(pair, str) else [text]
    for name in texts:
        if name not in known:
            raise ColumnMissing(field="text", column=name, known=", ".join(known))
    return texts, known.get(label) if isinstance(label, str) else None


def _classes(column: Column | None) -> list[str]:
    """All values of a label; none for a measure, and for more labels than are known here."""
    if column is None or len(column.top) < column.distinct or column.kind in (ColumnKind.NUMBER, ColumnKind.LIST):
        return []
    return [item.value for item in column.top]


def _refusal(told: dict[str, Any]) -> KargahError:
    kind = next((kind for kind in REFUSALS if kind.code == told["code"]), BaseModelUnusable)
    return kind(**{"field": "model", **told["params"]})
