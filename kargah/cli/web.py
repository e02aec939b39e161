"""``kargah web``: one web process. It owns its server, so that open streams end with it and it is out within a second."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from kargah.kit import files
from kargah.kit.errors import KargahError
from kargah.kit.settings import Settings

#: For an answer that is being computed at the end; streams need none of it.
GRACE_SECONDS = 1
SAY_AGAIN_SECONDS = 1.0
#: A client that takes nothing of what it was sent for this long is cut off by the kernel, whatever the answer was.
UNTAKEN_SECONDS = 120


class PortTaken(KargahError):
    code = "PORT_TAKEN"


def run_web(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status. Raises PortTaken."""
    gc.disable()  # until it serves: nothing that is loaded is garbage, and looking for some takes a seventh of the start
    from kargah.cli.logs import configure_logs
    from kargah.web.app import create_app

    configure_logs(settings)
    listener = _listen(settings)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=65,
    )
    with contextlib.closing(listener):
        server = OwnedServer(config, app.state.stop, lambda: _say_where(settings, listener))
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listener]))
    return 0 if server.started else 1


class OwnedServer(uvicorn.Server):
    """A server whose signals are ours: the first tells the streams to end, a second one leaves at once."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None], on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()
        gc.enable()
        gc.freeze()  # what was imported is never garbage: later collections need not look at it

    def _say_started(self) -> None:
        """On a full disk the address is written once there is room; it is served meanwhile."""
        try:
            self._on_started()
        except OSError as error:
            if not files.is_full(error):
                raise
            asyncio.get_running_loop().call_later(SAY_AGAIN_SECONDS, self._say_started)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        yield

    def _leave(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._stop()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PortTaken(host=settings.host, port=str(settings.port), reason=reason) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNTAKEN_SECONDS)
    return listener


def _say_where(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    files.write_json(settings.run_folder / "web.json", {"host": host, "port": port, "pid": os.getpid()})
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"http://{shown}:{port}\n")
    sys.stdout.flush()
