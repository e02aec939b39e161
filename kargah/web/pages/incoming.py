"""What the page of data sets says of files on their way: how much may come, and what has not arrived wholly."""

import json
from dataclasses import dataclass

from sqlalchemy.orm import Session

from kargah.assets import uploads
from kargah.assets.uploads import Limits, UploadOut
from kargah.datasets.schemas import JsonDict
from kargah.kit.settings import Settings
from kargah.store.access import Actor
from kargah.text.normalise import NormaliserSettings
from kargah.web.pages.words import Words

BARE = {"harakat": True, "hamza": True}


@dataclass(frozen=True)
class UnfinishedRow:
    """``mark``: by which the page knows the file again when it is chosen."""

    id: str
    name: str
    mark: str
    percent: int
    facts: str


def load(session: Session, actor: Actor, settings: Settings) -> tuple[Limits, list[UploadOut]]:
    return uploads.limits(session, actor, settings), uploads.list_for(session, actor, settings)


def room_of(words: Words, room: Limits) -> str:
    """What there is room for, said before anything is sent."""
    if room.quota_left_bytes is None:
        return words.text("upload.room", disk=words.size(room.disk_bytes))
    return words.text("upload.room_and_share", disk=words.size(room.disk_bytes), share=words.size(room.quota_left_bytes))


def normalisers_of(words: Words, first: str = "usual") -> list[tuple[str, str]]:
    """The common ways to read letters, each as the API takes it; ``first`` is the name of what is done when nothing is chosen."""
    none = {name: False for name, value in NormaliserSettings().model_dump().items() if isinstance(value, bool)}
    ways: dict[str, JsonDict] = {"latin": {"digits": "latin"}, "persian": {"digits": "persian"}, "bare": BARE, "none": none}
    choices = {first: ""} | {name: json.dumps(steps, separators=(",", ":")) for name, steps in ways.items()}
    return [(value, words.text(f"datasets.normaliser.{name}")) for name, value in choices.items()]


def row_of(words: Words, upload: UploadOut) -> UnfinishedRow:
    share = upload.offset / upload.size_bytes if upload.size_bytes else 0.0
    facts = words.text(
        "upload.arrived", percent=words.percent(int(share * 100) / 100, 0), total=words.size(upload.size_bytes),
        until=words.date(upload.expires_at),
    )  # fmt: skip
    return UnfinishedRow(upload.id, upload.filename, upload.fingerprint or "", int(share * 100), facts)
