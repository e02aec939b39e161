"""Which server commands talk to, and as whom: options, then KARGAH_SERVER and KARGAH_TOKEN, then what ``kargah login`` kept."""

import os
from pathlib import Path

from kargah.cli.words import language
from kargah.client import Kargah
from kargah.kit import files

StoredLogin = dict[str, str]


def login_file() -> Path:
    """``~/.config/kargah/login.json``, or below XDG_CONFIG_HOME; mode 0600."""
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "kargah" / "login.json"


def connect(server: str | None, token: str | None) -> Kargah:
    """A stored token goes only to the server that it was given for."""
    stored = stored_login()
    url = server or os.environ.get("KARGAH_SERVER") or stored.get("server")
    kargah = Kargah(url, token, language=language())
    if kargah.transport.token is None and kargah.transport.url == stored.get("server"):
        kargah.transport.token = stored.get("token")
    return kargah


def stored_login() -> StoredLogin:
    try:
        content = files.read_json(login_file())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(value) for name, value in content.items()} if isinstance(content, dict) else {}


def store_login(server: str, token: str) -> None:
    path = login_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_json(path, {"server": server, "token": token}, mode=0o600)


def forget_login() -> None:
    login_file().unlink(missing_ok=True)
