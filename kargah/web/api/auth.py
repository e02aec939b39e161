"""Register, log in and out, and what an account holds: its sessions and its API tokens."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from kargah.accounts import service, sessions
from kargah.accounts.schemas import ApiTokenOut, Language, Login, NewApiToken, Registration, SessionOut, SignedIn, Theme, UserOut
from kargah.web import login
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])


class ProfileChanges(BaseModel):
    name: str | None = Field(None, max_length=200)
    language: Language | None = None
    theme: Theme | None = None


class PasswordChange(BaseModel):
    old_password: str = Field(max_length=1024)
    new_password: str = Field(max_length=1024)


class ApiTokenWanted(BaseModel):
    """``days``: how long the token holds; for ever when absent."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    days: Annotated[float | None, Field(gt=0, le=3650)] = None


@router.post("/register", status_code=201)
async def register(form: Registration, ask: Ask) -> SignedIn:
    return await login.register(ask, form)


@router.post("/login")
async def log_in(form: Login, ask: Ask) -> SignedIn:
    return await login.log_in(ask, form)


@router.post("/logout", status_code=204)
async def log_out(ask: Ask, response: Response) -> None:
    await login.log_out(ask)
    login.clear_cookie(response, ask.settings)


@router.post("/refresh")
async def refresh(ask: Ask) -> SignedIn:
    return await login.refresh(ask)


@router.get("/me")
async def me(ask: Ask) -> UserOut:
    return await ask(service.me)


@router.patch("/me")
async def change_profile(changes: ProfileChanges, ask: Ask) -> UserOut:
    return await ask(service.change_profile, changes.model_dump(exclude_unset=True))


@router.post("/password", status_code=204)
async def change_password(change: PasswordChange, ask: Ask) -> None:
    await login.change_password(ask, change.old_password, change.new_password)


@router.get("/sessions")
async def list_sessions(ask: Ask) -> list[SessionOut]:
    return await ask(sessions.list_for)


@router.delete("/sessions/{session_id}", status_code=204)
async def revoke_session(session_id: str, ask: Ask) -> None:
    await ask(sessions.revoke, session_id)


@router.get("/tokens")
async def list_tokens(ask: Ask) -> list[ApiTokenOut]:
    return await ask(sessions.list_api_tokens)


@router.post("/tokens", status_code=201)
async def create_token(wanted: ApiTokenWanted, ask: Ask) -> NewApiToken:
    return await ask(sessions.create_api_token, wanted.name, wanted.days)


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(token_id: str, ask: Ask) -> None:
    await ask(sessions.revoke_api_token, token_id)
