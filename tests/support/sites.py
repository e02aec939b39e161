"""A real web process's application on a real port, in a thread: fast to start, and its database is at hand."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from kargah.accounts.tables import Membership, Workspace
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.store.database import Database
from kargah.web.app import create_app

PASSWORD = "انار دانه‌دانه"
ROOMY = {"rate_limit_per_minute": 1_000_000, "login_rate_limit_per_minute": 100_000}


@dataclass
class Site:
    url: str
    app: FastAPI
    settings: Settings
    tokens: dict[str, str] = field(default_factory=dict)
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def database(self) -> Database:
        database: Database = self.app.state.database
        return database

    def client(self, who: str | None = None, **headers: str) -> httpx.Client:
        """Speaks as one of the accounts of ``people``, by Bearer; as nobody without a name."""
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        client = httpx.Client(base_url=self.url, headers={"Accept-Language": "en", **headers}, timeout=20.0)
        self.clients.append(client)
        return client

    def browser(self, who: str) -> httpx.Client:
        """Carries the session as a cookie, as a browser does."""
        client = self.client()
        client.cookies.set("kargah_session", self.tokens[who])
        return client

    def register(self, who: str) -> dict[str, Any]:
        form = {"email": f"{who}@example.org", "password": PASSWORD, "name": who}
        answer = self.client().post("/api/v1/auth/register", json=form)
        assert answer.status_code == 201, answer.text
        self.tokens[who] = answer.json()["token"] or ""
        user: dict[str, Any] = answer.json()["user"]
        return user


@contextmanager
def open_site(home: Path, **settings: Any) -> Iterator[Site]:
    made = Settings(home=home, **{**ROOMY, **settings})
    app = create_app(made)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", access_log=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    site = Site(f"http://127.0.0.1:{port}", app, made)
    try:
        yield site
    finally:
        for client in site.clients:
            client.close()
        app.state.live.stop()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


def move_to_workspace_of_their_own(site: Site, user_id: str) -> None:
    with site.database.write() as session:
        workspace = Workspace(id=new_id("ws"), slug="elsewhere", title="elsewhere")
        session.add(workspace)
        session.flush()
        session.query(Membership).filter_by(user_id=user_id).delete()
        session.add(Membership(id=new_id("mem"), workspace_id=workspace.id, user_id=user_id))
