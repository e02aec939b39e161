"""Tables of no domain: the counter of positions, and answers kept for repeated requests."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created


class Counter(Base):
    """One row a counter, raised in the transaction that uses the number: database sequences commit out of order, this cannot."""

    __tablename__ = "counters"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class IdempotentAnswer(Base, Created):
    """The answer to a creation, replayed when the same key comes again. ``status`` is null while the first is in flight."""

    __tablename__ = "idempotent_answers"
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(48), primary_key=True)
    route: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    answer: Mapped[dict[str, Any] | None]
    expires_at: Mapped[datetime]
