"""What a client shows to be known: a login token (JWT, names a session row) or a named API token (kept as SHA-256)."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from kargah.kit.errors import BadToken
from kargah.kit.jwts import jwt

API_TOKEN_PREFIX = "kgh_"  # noqa: S105 - the start of every token, itself no secret
_ALGORITHM = "HS256"
_LONGEST = 2048


@dataclass(frozen=True)
class LoginClaims:
    user_id: str
    session_id: str


def login_token(secret_key: str, user_id: str, session_id: str, expires_at: datetime) -> str:
    """Says who and which session; whether that session still stands is asked of its row at every request."""
    return jwt.encode({"sub": user_id, "sid": session_id, "exp": expires_at}, secret_key, algorithm=_ALGORITHM)


def read_login_token(secret_key: str, token: str) -> LoginClaims:
    """Raises BadToken for one that is expired, altered, or none of ours."""
    try:
        if len(token) > _LONGEST:
            raise BadToken
        claims = jwt.decode(token, secret_key, algorithms=[_ALGORITHM], options={"require": ["sub", "sid", "exp"]})
        return LoginClaims(str(claims["sub"]), str(claims["sid"]))
    except (jwt.InvalidTokenError, ValueError) as error:
        raise BadToken from error


def new_api_token() -> str:
    return API_TOKEN_PREFIX + secrets.token_urlsafe(32)


def sha256_of(token: str) -> str:
    """A plain hash is right here: the token is 256 random bits, there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def csrf_token(secret_key: str, session_id: str) -> str:
    """Bound to the session, so that no row and no second secret is needed."""
    return hmac.new(secret_key.encode(), b"csrf:" + session_id.encode(), hashlib.sha256).hexdigest()


def csrf_matches(secret_key: str, session_id: str, shown: str) -> bool:
    return hmac.compare_digest(csrf_token(secret_key, session_id).encode(), shown.encode("utf-8", "replace"))
