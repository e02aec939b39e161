"""Log in, ask for an account, log out, and how one wants the pages to look."""

from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kargah.accounts import service
from kargah.accounts.schemas import Login, Registration, SignedIn
from kargah.kit.errors import KargahError
from kargah.kit.i18n import LANGUAGES
from kargah.web import login
from kargah.web.deps import Ask, Asking
from kargah.web.pages.forms import Errors, errors_of, form_of, schema_errors
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.security import LANGUAGE_COOKIE, safe_next

router = APIRouter(include_in_schema=False)
THEME_COOKIE = "kargah_theme"
THEMES = ("light", "dark", "auto")
DAY_SECONDS = 86_400
A_YEAR_SECONDS = 365 * 86400
#: Beside which field an error of the accounts stands.
FIELDS = {"BAD_EMAIL": "email", "EMAIL_TAKEN": "email", "BAD_NAME": "name", "WEAK_PASSWORD": "password", "BAD_CREDENTIALS": "password"}


@router.get("/login")
async def login_page(request: Request) -> Response:
    if request.state.actor is not None:
        return see(safe_next(request.query_params.get("next")))
    return in_asked_language(request, lambda: _login_form(request, {"next": request.query_params.get("next", "")}, {}))


@router.post("/login")
async def log_in(request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    try:
        signed_in = await login.log_in(ask, Login.model_validate({name: values.get(name, "") for name in ("email", "password")}))
    except ValidationError as problem:
        return _login_form(request, values, schema_errors(request, problem), 422)
    except KargahError as error:
        return _login_form(request, values, errors_of(request, error, FIELDS), error.status)
    return _come_in(ask, signed_in, safe_next(values.get("next")))


@router.get("/register")
async def register_page(request: Request, ask: Ask) -> Response:
    if request.state.actor is not None:
        return see("/")
    return in_asked_language(request, lambda: _register_form(request, ask, {}, {}))


@router.post("/register")
async def register(request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    try:
        form = Registration.model_validate({name: values.get(name, "") for name in ("email", "password", "name")})
        signed_in = await login.register(ask, form)
    except ValidationError as problem:
        return _register_form(request, ask, values, schema_errors(request, problem), 422)
    except KargahError as error:
        return _register_form(request, ask, values, errors_of(request, error, FIELDS), error.status)
    if signed_in.token is None:
        return render("register.html", page_of(request, "register"), pending=True)
    return _come_in(ask, signed_in, "/")


@router.post("/logout")
async def log_out(ask: Ask) -> Response:
    await login.log_out(ask)
    response = see("/login?done=logged_out")
    login.clear_cookie(response, ask.settings)
    return response


@router.post("/preferences")
async def keep_preferences(request: Request, ask: Ask) -> Response:
    """Language and theme: kept with the account, and in a cookie for the pages before a login."""
    values = await form_of(request)
    changes: dict[str, str | None] = {}
    if values.get("language") in LANGUAGES:
        changes["language"] = values["language"]
    if values.get("theme") in THEMES:
        changes["theme"] = values["theme"]
    if changes:
        await ask(service.change_profile, changes)
    response = see(safe_next(values.get("next")))
    _keep(response, ask, changes)
    return response


def see(address: str) -> RedirectResponse:
    """After an act: the page that shows it, by GET, so that a reload repeats nothing."""
    return RedirectResponse(address, status_code=303)


def in_asked_language(request: Request, make: Any) -> Response:
    """``?language=`` on a page that needs no login: shown so, and kept for the next ones."""
    asked = request.query_params.get("language", "")
    if asked not in LANGUAGES:
        response: Response = make()
        return response
    request.state.language = asked
    response = make()
    response.set_cookie(LANGUAGE_COOKIE, asked, max_age=A_YEAR_SECONDS, samesite="lax", path="/")
    return response


def _login_form(request: Request, values: dict[str, str], errors: Errors, status: int = 200) -> Response:
    page = page_of(request, "login")
    stays = page.words.text("login.stays", stay_seconds=request.app.state.settings.session_days * DAY_SECONDS)
    return render("login.html", page, status=status, values=values, errors=errors, stays=stays)


def _register_form(request: Request, ask: Asking, values: dict[str, str], errors: Errors, status: int = 200) -> Response:
    page = page_of(request, "register")
    intro = page.words.text(f"register.intro.{ask.settings.sign_ups_now.value}")
    return render("register.html", page, status=status, values=values, errors=errors, intro=intro, pending=False)


def _come_in(ask: Asking, signed_in: SignedIn, target: str) -> Response:
    response = see(target)
    login.set_cookie(response, ask.settings, signed_in)
    _keep(response, ask, {"language": signed_in.user.language, "theme": signed_in.user.theme})
    return response


def _keep(response: Response, ask: Asking, changes: dict[str, str | None]) -> None:
    for cookie, value in ((LANGUAGE_COOKIE, changes.get("language")), (THEME_COOKIE, changes.get("theme"))):
        if value:
            response.set_cookie(cookie, value, max_age=A_YEAR_SECONDS, samesite="lax", secure=ask.settings.secure, path="/")
