"""Who may come in: an admin approves, blocks, gives roles, lets somebody in and gives a new password."""

import secrets
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kargah.accounts import passwords, service
from kargah.accounts.schemas import UserOut, UserPage
from kargah.kit.errors import BadInput, KargahError
from kargah.store.access import Role, require_admin
from kargah.web.deps import Ask, Asking
from kargah.web.pages.access import see
from kargah.web.pages.forms import Errors, errors_of, form_of
from kargah.web.pages.parts import Badge, pages_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
FILTERS = ("all", "pending", "active", "blocked")
STATUS_BADGES = {"active": ("ready", "check"), "pending": ("warn", "clock"), "blocked": ("error", "x")}
#: What can be done with an account of each status: the status it gets, and the icon of the button.
MOVES = {"pending": (("active", "check"), ("blocked", "x")), "active": (("blocked", "x"),), "blocked": (("active", "check"),)}


@dataclass(frozen=True)
class Move:
    status: str
    text: str
    icon: str
    is_stop: bool


@dataclass(frozen=True)
class PersonRow:
    id: str
    name: str
    email: str
    role: str
    role_text: str
    status: Badge
    since: str
    is_self: bool
    roles: list[tuple[str, str, bool]]
    moves: list[Move]


@dataclass(frozen=True)
class Given:
    """A password that was made just now: shown on this one answer, kept nowhere."""

    email: str
    password: str


@router.get("/people")
async def people(request: Request, ask: Ask) -> Response:
    return await _show(request, ask)


@router.post("/people")
async def let_in(request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    password = new_password()
    try:
        require_admin(ask.actor)
        email, name, role = service.normal_email(values.get("email", "")), service.normal_name(values.get("name", "")), role_of(values)
        made = await ask(service.create_user, email, await ask.compute(passwords.hash_of, password), name, role)
    except KargahError as error:
        if error.status == 403:
            raise
        fields = {"EMAIL_TAKEN": "email", "BAD_EMAIL": "email", "BAD_NAME": "name"}
        return await _show(request, ask, values=values, errors=errors_of(request, error, fields), status=error.status)
    return await _show(request, ask, given=Given(made.email, password))


@router.post("/people/{user_id}/role")
async def give_role(user_id: str, request: Request, ask: Ask) -> Response:
    return await _change(request, ask, user_id, role=role_of(await form_of(request)))


@router.post("/people/{user_id}/status")
async def give_status(user_id: str, request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    return await _change(request, ask, user_id, status=values.get("status", ""))


@router.post("/people/{user_id}/password")
async def reset_password(user_id: str, request: Request, ask: Ask) -> Response:
    require_admin(ask.actor)
    password = new_password()
    known = await ask(service.reset_password, user_id, await ask.compute(passwords.hash_of, password))
    return await _show(request, ask, given=Given(known.email, password))


def new_password() -> str:
    """96 bits, without the characters that are read wrongly from a screen."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


def role_of(values: dict[str, str]) -> Role:
    try:
        return Role(values.get("role", ""))
    except ValueError as error:
        raise BadInput(field="role", reason="unknown_value") from error


async def _change(request: Request, ask: Asking, user_id: str, role: Role | None = None, status: str | None = None) -> Response:
    """The last admin stays: said on the page, and nothing is changed."""
    try:
        changed = await ask(service.change_user, user_id, role, status)
    except KargahError as error:
        if error.code != "LAST_ADMIN":
            raise
        return await _show(request, ask, errors=errors_of(request, error, {}), status=error.status)
    return see(f"/people?done=person_{changed.status if status else 'role'}#{user_id}")


async def _show(
    request: Request,
    ask: Asking,
    *,
    values: dict[str, str] | None = None,
    errors: Errors | None = None,
    given: Given | None = None,
    status: int = 200,
) -> Response:
    query = {name: request.query_params.get(name, "") for name in ("status", "cursor")}
    wanted = query["status"] if query["status"] in STATUS_BADGES else "all"
    found: UserPage = await ask.read(service.list_users, query["cursor"] or None, 50, None if wanted == "all" else wanted)
    page = page_of(request, "people")
    words = page.words
    return render(
        "people.html",
        page,
        status=status,
        rows=[_row(words, user, ask.actor.user_id) for user in found.items],
        filters=[(name, words.text(f"people.filter.{name}"), name == wanted) for name in FILTERS],
        pages=pages_of("/people", query, found.next_cursor),
        roles=[(role.value, words.text(f"role_of.{role}"), words.text(f"people.role.{role}"), role is Role.TRAINER) for role in Role],
        values=values or {},
        errors=errors or {},
        given=given,
        is_filtered=wanted != "all",
    )


def _row(words: Words, user: UserOut, own_id: str) -> PersonRow:
    style, icon = STATUS_BADGES[user.status]
    return PersonRow(
        id=user.id,
        name=user.name,
        email=user.email,
        role=user.role,
        role_text=words.text(f"role_of.{user.role}"),
        status=Badge(style, icon, words.text(f"people.status.{user.status}")),
        since=words.date(user.created_at),
        is_self=user.id == own_id,
        roles=[(role.value, words.text(f"role_of.{role}"), role == user.role) for role in Role],
        moves=[
            Move(to, words.text(f"people.move.{user.status}.{to}"), icon_name, is_stop=to == "blocked")
            for to, icon_name in MOVES[user.status]
        ],
    )
