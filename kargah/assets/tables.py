from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created, Owned

#: The source of what lies in an object store alone: it is not among the files here, and nothing here is kept for its sake.
STORED = "s3"


class Blob(Base, Created):
    """A file's bytes, kept once whatever uses them. ``git_sha1`` is what hub clients call the oid of a small file.

    ``checked_at``: when it was last read and hashed again; ``damage``: what was found then (damaged, missing, unreadable), if anything.
    """

    __tablename__ = "blobs"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    git_sha1: Mapped[str] = mapped_column(String(40))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    checked_at: Mapped[datetime | None]
    damage: Mapped[str | None] = mapped_column(String(16), index=True)


class Asset(Base, Owned):
    """The one record of anything made of files: a model, a data set, a checkpoint, an artifact.

    ``files``: [{path, sha256, git_sha1, size_bytes}] in the order of path. ``status``: ready, importing, downloading, error, or available
    for what is not here. ``source``: local, training, HuggingFace, s3 for what lies in an object store alone, or hub for all that was ever
    pushed to a repository. ``subject_id`` is the row it belongs to (a data set or model version, a repository). ``sha256``: of its one
    file, else of the list of them. What lies in place under a root (see assets.roots) has ``root_id`` and ``place``, its path there. A
    checkpoint lies in the folder of its training, not among the blobs: ``job_id`` and ``place``, its name, say where; ``files`` is empty
    then.
    """

    __tablename__ = "assets"
    __table_args__ = (
        Index("ix_assets_list", "workspace_id", "id"),
        Index("ix_assets_kinds", "workspace_id", "kind", "id"),
        Index("ix_assets_root", "root_id", "place"),
        Index("ix_assets_job", "job_id", "place"),
        Index("ix_assets_sums", "workspace_id", "trashed_at", "kind", "root_id", "source", "visibility", "owner_id", "size_bytes"),
    )
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    name: Mapped[str] = mapped_column(String(300))
    name_folded: Mapped[str] = mapped_column(String(300), default="")
    status: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str | None] = mapped_column(String(48), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    root_id: Mapped[str | None] = mapped_column(String(48))
    job_id: Mapped[str | None] = mapped_column(String(48))
    place: Mapped[str | None] = mapped_column(String(1000))
    files: Mapped[list[Any]]
    downloaded_at: Mapped[datetime | None]
    trashed_at: Mapped[datetime | None]


class Root(Base, Owned):
    """A folder of this machine, on whatever disk, whose files are used where they lie. Nothing is ever written there.

    Or, where ``path`` begins with ``s3://``, what lies there in an object store (contract.stores): at ``endpoint``, null for Amazon's.

    ``summary``: what the last scan found (see contract.results.ScanResult).
    """

    __tablename__ = "roots"
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    path: Mapped[str] = mapped_column(String(1000), unique=True)
    endpoint: Mapped[str | None] = mapped_column(String(300))
    region: Mapped[str | None] = mapped_column(String(64))
    job_id: Mapped[str | None] = mapped_column(String(48))
    scanned_at: Mapped[datetime | None]
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)


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
