from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kargah.store.access import Role

Language = Literal["fa", "en"]
Theme = Literal["light", "dark", "auto"]


class Registration(BaseModel):
    email: str = Field(max_length=254)
    password: str = Field(max_length=1024)
    name: str = Field("", max_length=200)


class Login(BaseModel):
    email: str = Field(max_length=254)
    password: str = Field(max_length=1024)


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    email: str
    name: str
    role: Role
    status: str
    language: str | None
    theme: str | None
    created_at: datetime


class SignedIn(BaseModel):
    """``token`` is null while the account waits for an admin's approval."""

    token: str | None
    user: UserOut
    session_id: str | None = None
    expires_at: datetime | None = None


class SessionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    user_agent: str
    peer: str
    current: bool = False


class ApiTokenOut(BaseModel):
    """``hint`` is the token's last characters."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewApiToken(ApiTokenOut):
    """``token`` is shown this once and kept nowhere."""

    token: str


class UserPage(BaseModel):
    items: list[UserOut]
    next_cursor: str | None
