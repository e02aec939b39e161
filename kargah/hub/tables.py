from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created, Owned


class Namespace(Base, Created):
    """Under which name hub clients know a person; given once and never changed, since addresses stand on it."""

    __tablename__ = "hub_namespaces"
    user_id: Mapped[str] = mapped_column(String(48), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(96), unique=True)


class Repository(Base, Owned):
    """The name that hub clients know a model or a data set by. ``folded``: namespace/name in small letters.

    One that was created by a client has neither ``model_id`` nor ``dataset_id`` until something usable was pushed.
    """

    __tablename__ = "hub_repositories"
    __table_args__ = (UniqueConstraint("kind", "folded"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    namespace: Mapped[str] = mapped_column(String(96))
    name: Mapped[str] = mapped_column(String(96))
    folded: Mapped[str] = mapped_column(String(200))
    model_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("models.id", ondelete="CASCADE"), unique=True)
    dataset_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("datasets.id", ondelete="CASCADE"), unique=True)


class Commit(Base, Created):
    """What a client pushed, never changed. ``files`` as in Asset.files: all of the repository after it.

    ``version_id``: the version of the model or data set that was made of it, its parent's where nothing of that changed.
    """

    __tablename__ = "hub_commits"
    __table_args__ = (UniqueConstraint("repository_id", "number"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    repository_id: Mapped[str] = mapped_column(String(48), ForeignKey("hub_repositories.id", ondelete="CASCADE"))
    number: Mapped[int]
    commit_id: Mapped[str] = mapped_column(String(40))
    parent_id: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(300))
    message: Mapped[str] = mapped_column(String(4000), default="")
    author: Mapped[str] = mapped_column(String(200))
    files: Mapped[list[Any]]
    version_id: Mapped[str | None] = mapped_column(String(48))
