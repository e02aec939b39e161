"""All settings of the system, in one class.

Each is an environment variable ``KARGAH_<NAME>`` or a line of ``kargah.toml`` in the home directory (the environment
wins). docs/reference/settings.md explains each; a test fails for one that it forgets.
"""

import json
import os
import secrets
import tomllib
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from kargah.kit import files
from kargah.kit.errors import BadInput

MIB = 1 << 20
GIB = 1 << 30


class Profile(StrEnum):
    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class SignUps(StrEnum):
    OPEN = "open"
    APPROVAL = "approval"
    CLOSED = "closed"


class CustomScripts(StrEnum):
    OFF = "off"
    ADMINS = "admins"
    TRAINERS = "trainers"


class SettingUnusable(BadInput):
    """``name``, its ``value`` (not of what is secret) and ``reason``, with the limits that the reason speaks of."""

    code = "SETTING_UNUSABLE"


class SettingOfFileUnusable(SettingUnusable):
    """``path``: the file that it stands in."""

    code = "SETTING_OF_FILE_UNUSABLE"


class SettingsUnreadable(BadInput):
    """``path`` of a file that is no TOML, or cannot be read, and what was said of it."""

    code = "SETTINGS_UNREADABLE"


def default_home() -> Path:
    return Path(os.environ.get("KARGAH_HOME", "~/.kargah")).expanduser()


def _listed(value: Any) -> Any:
    """In the environment a list is JSON, or its parts with commas between."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [part for part in map(str.strip, value.split(",")) if part]
    try:
        return json.loads(value)
    except ValueError:
        raise PydanticCustomError("list_type", "no JSON") from None


_FromText = (NoDecode, BeforeValidator(_listed))
Texts = Annotated[list[str], *_FromText]
Folders = Annotated[list[Path], *_FromText]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="KARGAH_", extra="forbid", frozen=True)

    home: Path = Field(default_factory=default_home, description="where everything is kept")
    profile: Profile = Field(Profile.DEVELOPMENT, description="development, staging or production")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8420, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    database_url: str | None = Field(None, description="postgresql://…; SQLite in the home when absent")
    language: str = Field("fa", description="language of those who state none: fa or en")
    sign_ups: SignUps | None = Field(None, description="open, approval or closed; open on loopback, else approval, when absent")
    session_days: float = Field(7.0, gt=0, description="how long a login lasts")
    trusted_proxies: Texts = Field([], description="addresses or networks whose X-Forwarded-For counts")
    cors_origins: Texts = Field([], description="origins of other sites whose pages may call the API")
    https_only: bool | None = Field(None, description="Secure cookies and HSTS; on in production when absent")
    body_limit_bytes: int = Field(10 * MIB, gt=0, description="largest body of an ordinary request")
    upload_limit_bytes: int = Field(2 * GIB, gt=0, description="largest uploaded file")
    user_quota_bytes: int | None = Field(None, gt=0, description="room for the files of one user; unlimited when absent")
    workspace_quota_bytes: int | None = Field(None, gt=0, description="room for the files of one workspace; unlimited when absent")
    trash_days: float = Field(30.0, ge=0, description="how long what was thrown away can be restored; 0 is for ever")
    scrub_days: float = Field(30.0, ge=0, description="how often all kept files are read and hashed again; 0 is never by itself")
    unfinished_upload_days: float = Field(3.0, gt=0, description="how long the arrived part of a file waits for the rest")
    rate_limit_per_minute: int = Field(600, gt=0, description="requests a minute of one client")
    login_rate_limit_per_minute: int = Field(10, gt=0, description="login attempts a minute of one client")
    cores: int | None = Field(None, ge=1, description="cores given to jobs; all that this process may use when absent")
    warm_start: bool | None = Field(None, description="keep a warm process so that trainings begin at once; by memory when absent")
    job_threads: int | None = Field(None, ge=1, description="threads of one job; shared out by free cores when absent")
    jobs_per_user: int | None = Field(None, ge=1, description="jobs of one user that run at once; unlimited when absent")
    jobs_memory_bytes: int | None = Field(None, gt=0, description="memory given to jobs; nine tenths of the machine's when absent")
    lease_seconds: float = Field(20.0, gt=0, description="how long an agent's word about a job holds")
    predictor_idle_seconds: float = Field(600.0, gt=0, description="how long an unused model stays loaded")
    predictor_limit: int = Field(4, ge=1, description="models loaded for prediction at once")
    import_roots: Folders = Field([], description="folders from which models and data may be imported by path")
    url_import_allow: Texts = Field([], description="hosts or networks, besides public ones, that data may be fetched from")
    url_import_minutes: float = Field(120.0, gt=0, description="how long fetching one file may take")
    hub_urls: Texts = Field(["https://huggingface.co"], min_length=1, description="hubs to download from, the preferred one first")
    hub_token: str | None = Field(None, repr=False, description="token of a hub account; better in kargah.toml than in the environment")
    hub_token_url: str = Field("https://huggingface.co", description="the one hub that is told the token")
    hub_proxy_url: str | None = Field(None, repr=False, description="http://[user:password@]host:port through which hubs are reached")
    hub_cache: bool = Field(False, description="fetch what is asked for at /hub and is not here from the hubs, as far as it is allowed")
    hub_connections: int = Field(4, ge=1, le=16, description="connections of one download")
    hub_bytes_per_second: int | None = Field(None, gt=0, description="most that one download takes of the link; unlimited when absent")
    hub_patience_minutes: float = Field(30.0, gt=0, description="how long a download waits for hubs that give nothing")
    offline: bool = Field(False, description="never ask a hub; downloads are refused")
    custom_scripts: CustomScripts = Field(CustomScripts.OFF, description="who may run own Python files as jobs: off, admins or trainers")
    script_user: str | None = Field(None, description="system user that custom scripts run as where there is no bubblewrap; needs root")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_json: bool | None = Field(None, description="log lines as JSON; on in production when absent")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(init_settings().get("home") or default_home())
        toml = TomlConfigSettingsSource(settings_cls, toml_file=home / "kargah.toml")
        return init_settings, env_settings, toml

    @property
    def url_of_database(self) -> str:
        return self.database_url or f"sqlite:///{self.home.resolve() / 'kargah.db'}"

    @property
    def sign_ups_now(self) -> SignUps:
        if self.sign_ups is not None:
            return self.sign_ups
        return SignUps.OPEN if self.on_loopback else SignUps.APPROVAL

    @property
    def on_loopback(self) -> bool:
        return self.host in {"127.0.0.1", "::1", "localhost"}

    @property
    def secure(self) -> bool:
        return self.profile is Profile.PRODUCTION if self.https_only is None else self.https_only

    @property
    def run_folder(self) -> Path:
        """Locks and sockets: what means nothing after a reboot."""
        return self.home / "run"

    @cached_property
    def secret_key(self) -> str:
        """Signs login tokens. Made at the first start; there is no default."""
        return secret(self.home / "secrets" / "secret_key")


def load(**overrides: Any) -> Settings:
    """Settings from (first wins) ``overrides`` that are not None, the environment, and the TOML file.

    Raises SettingUnusable, SettingOfFileUnusable, SettingsUnreadable.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    path = Path(given.get("home") or default_home()) / "kargah.toml"
    try:
        return Settings(**given)
    except ValidationError as error:
        raise _unusable(error, given, path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsUnreadable(path=str(path), reason=str(error)) from None
    except OSError as error:
        raise SettingsUnreadable(path=str(path), reason=error.strerror or str(error)) from None


def _unusable(error: ValidationError, given: dict[str, Any], path: Path) -> SettingUnusable:
    """The first that is wrong, and where it stands."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    field = Settings.model_fields.get(name)
    is_secret = name == "database_url" or (field is not None and not field.repr)
    limits = {key: value for key, value in (first.get("ctx") or {}).items() if isinstance(value, int | float | str)}
    told = {**limits, "value": "…" if is_secret else str(first["input"])[:200], "reason": first["type"]}
    variable = f"KARGAH_{name.upper()}"
    if name not in given and variable not in map(str.upper, os.environ):
        return SettingOfFileUnusable(name=name, path=str(path), **told)
    return SettingUnusable(name=variable, **told)


def secret(path: Path) -> str:
    """Read a secret, or make it: mode 0600, and two processes that start together end up with the same one."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    files.write_bytes(fresh, secrets.token_urlsafe(48).encode(), mode=0o600)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()
