from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created


class Placement(Base, Created):
    """A predictor process that is wanted or runs on a host. ``state``: WANTED, STARTING, READY, FAILED.

    A door that needs a model asks for a row; an agent starts the process and says where it listens; nobody asking for
    ``idle_seconds`` ends it.
    """

    __tablename__ = "placements"
    model_version_id: Mapped[str] = mapped_column(String(48), ForeignKey("model_versions.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(String(200), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    socket: Mapped[str | None] = mapped_column(String(300))
    pid: Mapped[int | None]
    directory: Mapped[str | None] = mapped_column(String(500))
    error: Mapped[dict[str, Any] | None]
    wanted_at: Mapped[datetime]
