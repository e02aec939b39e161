from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created, Owned


class Blob(Base, Created):
    """A file's bytes, kept once whatever uses them. ``git_sha1`` is what hub clients call the oid of a small file."""

    __tablename__ = "blobs"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    git_sha1: Mapped[str] = mapped_column(String(40))
    size_bytes: Mapped[int] = mapped_column(BigInteger)


class Asset(Base, Owned):
    """The one record of anything made of files: a model, a data set, a checkpoint.

    ``files``: [{path, sha256, git_sha1, size_bytes}] in the order of path. ``status``: ready, importing, downloading or error.
    ``source``: local, training, HuggingFace. ``subject_id`` is the row it belongs to (a data set or model version).
    """

    __tablename__ = "assets"
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    name: Mapped[str] = mapped_column(String(300))
    name_folded: Mapped[str] = mapped_column(String(300), default="")
    status: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str | None] = mapped_column(String(48), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    files: Mapped[list[Any]]
    downloaded_at: Mapped[datetime | None]
    trashed_at: Mapped[datetime | None]


class Upload(Base, Owned):
    """A file that comes in pieces (see assets.uploads): how much of it is there is the length of its part file, not a column.

    ``fingerprint``: what the sender knows the file by, to find it again. ``result``: what was made of it; then no part is left.
    """

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    filename: Mapped[str] = mapped_column(String(400))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    fingerprint: Mapped[str | None] = mapped_column(String(128))
    result: Mapped[dict[str, Any] | None]
