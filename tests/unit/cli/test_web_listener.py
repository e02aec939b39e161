import contextlib
import socket
from pathlib import Path

from kargah.cli import web
from kargah.kit.settings import Settings


def test_a_connection_that_takes_nothing_for_long_is_cut_by_the_kernel(tmp_path: Path) -> None:
    with (
        contextlib.closing(web._listen(Settings(home=tmp_path, port=0))) as listener,
        socket.create_connection(listener.getsockname()[:2]),
        contextlib.closing(listener.accept()[0]) as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * web.UNTAKEN_SECONDS
