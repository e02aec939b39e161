"""Who may pass: every request is refused unless it is known, or its path is on the short list of open ones.

In this order: the frame (request id, client address, security headers), CORS, the error edge, the body guard, the
gate (credential, rate, same-site and CSRF). All are plain ASGI: a stream passes through them untouched.
"""

import ipaddress
import re
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kargah.accounts import sessions, tickets, tokens
from kargah.accounts.service import Identity, identify
from kargah.kit import i18n
from kargah.kit.clock import Clock
from kargah.kit.errors import BadToken, Forbidden, KargahError, LoginRequired, TooMany
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.web import bodies
from kargah.web.deps import SAFE_METHODS, Threads
from kargah.web.ratelimit import Policy, RateLimiter, Verdict

SESSION_COOKIE = "kargah_session"
LANGUAGE_COOKIE = "kargah_language"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "_csrf"

SIGN_IN = frozenset({"/login", "/register", "/api/auth/login", "/api/auth/register", "/api/v1/auth/login", "/api/v1/auth/register"})
#: The only paths that answer without a credential, and nothing below them.
OPEN = SIGN_IN | {"/health", "/api/health", "/favicon.ico"}
#: Files that belong to nobody.
OPEN_FOLDERS = ("/static/",)
#: Doors whose protocol brings its credential after the handshake; each checks it itself.
SELF_GUARDED = ("/socket.io/", "/hub/lfs/")
#: Work that costs seconds or gigabytes: a tenth of the ordinary rate.
COSTLY = re.compile(
    r"/api/v1/(trainings|datasets|datasets/import-(url|path)|uploads/[^/]+/finish|models/import|models/upload)|/api/train|/api/lifecycle/jobs|/api/datasets/upload|/api/v1/models/[^/]+/zip"
)

#: A client of the hub asks twice for each file of a folder, all at once, and for many that are not there.
HUB_TIMES = 10

#: Where a ticket stands for a credential: clients of streams may be able to send no header.
STREAMS = re.compile(r"/api/v1/(events|live|jobs/[^/]+/events)")

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_CSRF_FIELD = re.compile(rb'(?:^|&)_csrf=([0-9a-f]{64})(?:&|$)|name="_csrf"\r\n\r\n([0-9a-f]{64})\r\n')
_PEEK_BYTES = 64 * 1024


class CrossSite(Forbidden):
    code = "CROSS_SITE"


class ForeignHost(KargahError):
    """A name that is not this machine's leads here: another site rebinding its own name, or a proxy that is not in the settings."""

    code = "FOREIGN_HOST"
    status = 421


class BadCsrf(Forbidden):
    code = "BAD_CSRF"


class Frame:
    """Gives each request its id, its client's address and its language, and each answer its security headers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.headers = dict(SECURITY_HEADERS)
        if settings.secure:
            self.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        self.proxies = [ipaddress.ip_network(text, strict=False) for text in settings.trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not _is_well_formed(headers.get("host", "")):  # whoever builds an address from it would stumble
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"host"]
        state = scope.setdefault("state", {})
        shown = headers.get("x-request-id", "")
        state["request_id"] = shown if _REQUEST_ID.fullmatch(shown) else new_id("req")
        state["language"] = preferred_language(headers, self.settings.language)
        state.update(actor=None, identity=None, csrf_token="", rate=None, client_address=self._client_address(scope, headers))

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._frame(MutableHeaders(scope=message), state["request_id"], state["rate"])
            await send(message)

        await self.app(scope, receive, framed)

    def _frame(self, headers: MutableHeaders, request_id: str, rate: Verdict | None) -> None:
        for name, value in self.headers.items():
            headers.setdefault(name, value)
        headers["X-Request-Id"] = request_id
        headers.setdefault("Cache-Control", "no-store")
        if rate is not None:
            headers.raw.extend(rate.headers)

    def _client_address(self, scope: Scope, headers: Headers) -> str:
        """The nearest address that is not one of our own proxies; what a stranger writes into the header counts for nothing."""
        address = (scope.get("client") or ("", 0))[0]
        chain = [part.strip() for part in ",".join(headers.getlist("x-forwarded-for")).split(",") if part.strip()]
        if self._is_trusted(address) and headers.get("x-forwarded-proto") in ("http", "https"):
            secure = headers["x-forwarded-proto"] == "https"
            scope["scheme"] = {"http": "https", "websocket": "wss"}[scope["type"]] if secure else scope["scheme"]
        while chain and self._is_trusted(address):
            address = chain.pop()
        return address

    def _is_trusted(self, address: str) -> bool:
        try:
            return any(ipaddress.ip_address(address) in network for network in self.proxies)
        except ValueError:
            return False


def preferred_language(headers: Headers, default: str) -> str:
    """What this browser chose on a page, else what it asks for, else the setting."""
    chosen = cookie_parser(headers.get("cookie", "")).get(LANGUAGE_COOKIE, "")
    return chosen if chosen in i18n.LANGUAGES else i18n.preferred(headers.get("accept-language"), default)


class Gate:
    """Lets a request pass with a known credential, within its rate, and from our own site when a browser's cookie speaks for it."""

    def __init__(self, app: ASGIApp, settings: Settings, clock: Clock) -> None:
        self.app = app
        self.settings = settings
        self.limiter = RateLimiter(clock)
        self.ordinary = Policy("default", settings.rate_limit_per_minute)
        self.hub = Policy("hub", HUB_TIMES * settings.rate_limit_per_minute)
        self.costly = Policy("costly", max(1, settings.rate_limit_per_minute // 10))
        self.sign_in = Policy("login", settings.login_rate_limit_per_minute)
        self.refused = Policy("refused", 6 * settings.login_rate_limit_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or is_free(scope["path"]):
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            receive = await self._admit(connection, receive)
        except KargahError:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            raise
        await self.app(scope, receive, send)

    async def _admit(self, connection: HTTPConnection, receive: Receive) -> Receive:
        method = connection.scope.get("method", "GET")
        self._require_own_name(connection)
        credential, by_cookie = credential_of(connection)
        if method not in SAFE_METHODS or connection.scope["type"] == "websocket":
            self._require_same_site(connection, has_header=not by_cookie)
        policy = self._policy_of(method, connection.scope["path"])
        if policy is self.sign_in:
            self._spend(policy, connection)
        await self._recognise(connection, credential)
        if policy is not self.sign_in:
            self._spend(policy, connection)
        if by_cookie and connection.state.actor is not None and method not in SAFE_METHODS and policy is not self.sign_in:
            return await self._require_csrf(connection, receive)
        return receive

    async def _recognise(self, connection: HTTPConnection, credential: str | None) -> None:
        """Sets the actor. On an open path an unknown credential is as good as none."""
        state, is_open = connection.state, connection.scope["path"] in OPEN
        if credential is None:
            if not is_open:
                raise LoginRequired
            return
        threads: Threads = connection.app.state.threads
        if not self.limiter.take(self.refused, _client(state.client_address), 0).allowed:
            self._spend(self.refused, connection)
        try:
            if credential.startswith(tickets.PREFIX):
                found = await threads.write(tickets.redeem, credential)
            else:
                found = await threads.read(identify, self.settings.secret_key, credential)
        except KargahError:
            self.limiter.take(self.refused, _client(state.client_address))
            if not is_open:
                raise
            return
        self._remember(connection, found)
        if found.is_stale:
            await threads.write(sessions.seen, found.actor)

    def _remember(self, connection: HTTPConnection, found: Identity) -> None:
        state, actor = connection.state, replace(found.actor, peer=connection.state.client_address)
        state.actor, state.identity = actor, found
        state.language = actor.language or state.language
        if actor.session_id is not None:
            state.csrf_token = tokens.csrf_token(self.settings.secret_key, actor.session_id)

    def _policy_of(self, method: str, path: str) -> Policy:
        if path in SIGN_IN and method not in SAFE_METHODS:
            return self.sign_in
        if path.startswith("/hub/"):
            return self.hub
        return self.costly if COSTLY.fullmatch(path) and (method not in SAFE_METHODS or path.endswith("/zip")) else self.ordinary

    def _spend(self, policy: Policy, connection: HTTPConnection) -> None:
        state = connection.state
        client = state.actor.user_id if state.actor is not None else _client(state.client_address)
        state.rate = self.limiter.take(policy, client)
        if not state.rate.allowed:
            raise TooMany(retry_after_seconds=max(1, state.rate.wait_seconds))

    def _require_own_name(self, connection: HTTPConnection) -> None:
        """On the loopback sign-ups are open, so a page elsewhere must not get in by pointing its own name at this machine."""
        if self.settings.on_loopback and not self.settings.trusted_proxies and not _is_loopback(connection.headers.get("host", "")):
            raise ForeignHost(host=connection.headers.get("host", "")[:200])

    def _require_same_site(self, connection: HTTPConnection, has_header: bool) -> None:
        """A browser says where a request comes from; one that carries its own header cannot have been forged."""
        origin = connection.headers.get("origin")
        if has_header or origin in self.settings.cors_origins:
            return
        if origin is not None:
            foreign = origin.partition("://")[2] != connection.headers.get("host")
        else:
            foreign = connection.headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        if foreign:
            raise CrossSite(origin=(origin or "")[:200])

    async def _require_csrf(self, connection: HTTPConnection, receive: Receive) -> Receive:
        session_id, shown = connection.state.actor.session_id, connection.headers.get(CSRF_HEADER)
        if shown is None:
            shown, receive = await _field_of_form(connection, receive)
        if session_id is None or not tokens.csrf_matches(self.settings.secret_key, session_id, shown):
            raise BadCsrf
        return receive


def _is_well_formed(host: str) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        return parts.port != 0 and parts.netloc == host and "@" not in host and " " not in host
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_free(path: str) -> bool:
    """Needs neither credential nor count: health, files of no owner, and doors that guard themselves."""
    return path in ("/health", "/api/health", "/favicon.ico") or path.startswith(OPEN_FOLDERS + SELF_GUARDED)


def credential_of(connection: HTTPConnection) -> tuple[str | None, bool]:
    """The credential, on streams perhaps a ticket, and whether it came by cookie. Raises BadToken for a header that is none of ours."""
    header = connection.headers.get("authorization")
    if header is not None:
        scheme, _, credential = header.partition(" ")
        if scheme.lower() != "bearer" or not credential.strip():
            raise BadToken
        return credential.strip(), False
    if STREAMS.fullmatch(connection.scope["path"]) and connection.query_params.get("ticket", "").startswith(tickets.PREFIX):
        return connection.query_params["ticket"], False
    cookie = connection.cookies.get(SESSION_COOKIE)
    if cookie and cookie.startswith(tokens.API_TOKEN_PREFIX):
        raise BadToken
    return cookie or None, True


async def _field_of_form(connection: HTTPConnection, receive: Receive) -> tuple[str, Receive]:
    """The form's ``_csrf`` field, which must stand near its beginning: an upload is not read to its end for it."""
    if not connection.headers.get("content-type", "").startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        return "", receive
    head, more = b"", True
    while more and len(head) < _PEEK_BYTES and _CSRF_FIELD.search(head) is None:
        message = await receive()
        head, more = head + message.get("body", b""), bool(message.get("more_body"))
    found = _CSRF_FIELD.search(head)
    field = (found[1] or found[2]).decode() if found else ""
    return field, bodies.replay(head, receive, more)


def _client(address: str) -> str:
    """An IPv6 client owns a whole /64: it is counted as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def safe_next(target: str | None) -> str:
    """Where to go after a login: a path of this site, whatever the query says."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or any(ord(character) < 33 for character in target):
        return "/"
    return target
