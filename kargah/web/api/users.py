"""Accounts, for admins."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from kargah.accounts import passwords, service
from kargah.accounts.schemas import UserOut, UserPage
from kargah.store.access import Role, require_admin
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/users", tags=["users"])

Status = Literal["active", "pending", "blocked"]


class NewUser(BaseModel):
    email: str = Field(max_length=254)
    password: str = Field(max_length=1024)
    name: str = Field("", max_length=200)
    role: Role = Role.TRAINER


class UserChanges(BaseModel):
    """``status`` active approves or unblocks."""

    role: Role | None = None
    status: Status | None = None


class NewPassword(BaseModel):
    password: str = Field(max_length=1024)


@router.get("")
async def list_users(
    ask: Ask,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    status: Status | None = None,
) -> UserPage:
    return await ask(service.list_users, cursor, limit, status)


@router.post("", status_code=201)
async def create_user(new: NewUser, ask: Ask) -> UserOut:
    require_admin(ask.actor)
    passwords.check_strength(new.password, new.email, new.name)
    return await ask(service.create_user, new.email, await ask.compute(passwords.hash_of, new.password), new.name, new.role)


@router.get("/{user_id}")
async def show_user(user_id: str, ask: Ask) -> UserOut:
    return await ask(service.get_user, user_id)


@router.patch("/{user_id}")
async def change_user(user_id: str, changes: UserChanges, ask: Ask) -> UserOut:
    return await ask(service.change_user, user_id, changes.role, changes.status)


@router.post("/{user_id}/password")
async def reset_password(user_id: str, new: NewPassword, ask: Ask) -> UserOut:
    known = await ask.read(service.get_user, user_id)
    passwords.check_strength(new.password, known.email, known.name)
    return await ask(service.reset_password, user_id, await ask.compute(passwords.hash_of, new.password))
