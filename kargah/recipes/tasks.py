"""What a table is for, by its columns: also tasks that no recipe can train yet are named, so that nobody is told nonsense."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kargah.recipes import hints
from kargah.recipes.base import Match
from kargah.recipes.columns import Column, ColumnKind

Roles = dict[str, str]


@dataclass(frozen=True)
class Task:
    """``columns``: which column takes which role. ``has_recipe``: whether it can be trained here."""

    name: str
    columns: Roles = field(default_factory=dict)
    has_recipe: bool = False


def by_structure(columns: Sequence[Column]) -> Task | None:
    """The task that the form of the columns tells beyond doubt, or None where labels and numbers decide."""
    return next((task for find in _FINDERS if (task := find(columns)) is not None), None)


def proposed(columns: Sequence[Column], name: str) -> Match | None:
    """What a recipe for the task ``name`` would learn, where the form of the columns tells that task."""
    task = by_structure(columns)
    if task is None or task.name != name:
        return None
    return Match(0.95, dict(task.columns), ((f"guess.structure.{name}", {"columns": ", ".join(task.columns.values())}),), {})


def _conversations(columns: Sequence[Column]) -> Task | None:
    pair = _preferences(columns)
    messages = _of_kind(columns, ColumnKind.MESSAGES)
    return Task("sft", {"messages": messages.name}) if messages and pair is None else None


def _preferences(columns: Sequence[Column]) -> Task | None:
    roles = _named(columns, {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"})
    return Task("dpo", roles) if {"chosen", "rejected"} <= roles.keys() else None


def _instructions(columns: Sequence[Column]) -> Task | None:
    roles = _named(columns, {"instruction": "instruction", "input": "input", "output": "output", "system": "system"})
    if {"instruction", "output"} <= roles.keys():
        return Task("sft", roles)
    roles = _named(columns, {"prompt": "prompt", "completion": "completion", "response": "completion"})
    return Task("sft", roles) if {"prompt", "completion"} <= roles.keys() else None


def _answers(columns: Sequence[Column]) -> Task | None:
    answers = _of_kind(columns, ColumnKind.ANSWERS)
    roles = _named(columns, {"context": "context", "question": "question"})
    return Task("question-answering", {**roles, "answers": answers.name}) if answers and len(roles) == 2 else None


def _tags(columns: Sequence[Column]) -> Task | None:
    lists = [column for column in columns if column.kind is ColumnKind.LIST]
    tokens = next((column for column in lists if column.name.lower() in ("tokens", "words")), None)
    tags = [
        column for column in lists if column is not tokens and ("tag" in column.name.lower() or column.name.lower() in ("upos", "labels"))
    ]
    return Task("token-classification", {"tokens": tokens.name, "tags": tags[-1].name}) if tokens and tags else None


def _sound(columns: Sequence[Column]) -> Task | None:
    audio = _of_kind(columns, ColumnKind.AUDIO)
    if audio is None:
        return None
    roles = _named(columns, {"text": "text", "transcript": "text", "transcription": "text", "sentence": "text", "متن": "text"})
    if roles:
        return Task("speech-recognition", {"audio": audio.name, **roles})
    label = _label(columns)
    return Task("audio-classification", {"audio": audio.name} | ({"label": label.name} if label else {}))


def _pictures(columns: Sequence[Column]) -> Task | None:
    image, label = _of_kind(columns, ColumnKind.IMAGE), _label(columns)
    return Task("image-classification", {"image": image.name} | ({"label": label.name} if label else {})) if image else None


def _pairs(columns: Sequence[Column]) -> Task | None:
    """Two texts that are named as the sides of a pair, and a label: other columns are remarks on the rows."""
    texts = [column for column in columns if hints.holds_text(column)]
    first = next((column for column in texts if hints.named_exactly(column, "first")), None)
    second = next((column for column in texts if hints.named_exactly(column, "second")), None)
    label = next((column for column in columns if hints.named_exactly(column, "label") and hints.holds_classes(column)), None)
    if first is None or second is None or label is None:
        return None
    return Task("text-classification", {"text": first.name, "text_pair": second.name, "label": label.name})


def _together(columns: Sequence[Column]) -> Task | None:
    """Texts that belong together, by the names that the field gives them."""
    names = {"anchor": "anchor", "query": "anchor", "question": "anchor", "پرسش": "anchor"}
    names |= {"positive": "positive", "passage": "positive", "context": "positive", "paragraph": "positive", "بند": "positive"}
    roles = _named([column for column in columns if hints.holds_text(column)], names | {"negative": "negative"})
    return Task("sentence-similarity", roles) if {"anchor", "positive"} <= roles.keys() and not _has_named_label(columns) else None


#: Names of a text and of what is to be written from it.
_REWRITINGS = (
    (("source", "src", "input_text", "مبدأ"), ("target", "tgt", "target_text", "مقصد")),
    (("document", "article", "text", "متن"), ("summary", "highlights", "خلاصه")),
    (("question", "پرسش"), ("answer", "پاسخ")),
)


def _rewriting(columns: Sequence[Column]) -> Task | None:
    texts = {column.name.lower(): column.name for column in columns if column.kind is ColumnKind.TEXT or hints.holds_text(column)}
    for sources, targets in _REWRITINGS:
        source, target = (next((texts[name] for name in names if name in texts), None) for names in (sources, targets))
        if source and target and not _has_named_label(columns):
            return Task("seq2seq", {"source": source, "target": target})
    return None


def _running_text(columns: Sequence[Column]) -> Task | None:
    """One column of text, and nothing that could be learned of it but the text itself."""
    filled = [column for column in columns if column.kind is not ColumnKind.EMPTY and not hints.is_split(column)]
    if len(filled) != 1 or filled[0].kind not in (ColumnKind.TEXT, ColumnKind.CATEGORY):
        return None
    return Task("language-modeling", {"text": filled[0].name})


def _has_named_label(columns: Sequence[Column]) -> bool:
    return any(hints.named_exactly(column, "label") and hints.holds_classes(column) for column in columns)


_FINDERS = (
    *(_conversations, _preferences, _instructions, _answers, _tags, _sound, _pictures),
    *(_pairs, _together, _rewriting, _running_text),
)


def _of_kind(columns: Sequence[Column], kind: ColumnKind) -> Column | None:
    return next((column for column in columns if column.kind is kind), None)


def _named(columns: Sequence[Column], roles: Roles) -> Roles:
    return {roles[column.name.lower()]: column.name for column in columns if column.name.lower() in roles}


def _label(columns: Sequence[Column]) -> Column | None:
    return next((column for column in columns if hints.holds_classes(column) and not hints.is_split(column)), None)
