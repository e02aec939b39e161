"""Connections to other hosts: to the very address that was judged, or through the proxy that an admin named."""

import base64
import http.client
import ssl
from urllib.parse import unquote, urlsplit

from kargah.kit.addresses import PORTS, Target


def direct(target: Target, address: str, silence_seconds: float) -> http.client.HTTPConnection:
    """To ``address``, while the name is what is asked for and what the certificate must be for. No proxy of the environment is used."""
    if target.scheme == "http":
        return http.client.HTTPConnection(address, target.port, timeout=silence_seconds)
    return _PinnedHttps(target.host, address, target.port, silence_seconds)


def through(proxy: str, target: Target, silence_seconds: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """By way of ``proxy`` (http://[user:password@]host:port), which finds the host: (connection, what to ask it for, headers besides)."""
    parts = urlsplit(proxy)
    host, port = parts.hostname or "", parts.port or PORTS["http"]
    known = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    headers = {"Proxy-Authorization": f"Basic {base64.b64encode(known.encode()).decode()}"} if known else {}
    if target.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=silence_seconds), target.url, headers
    tunnel = http.client.HTTPSConnection(host, port, timeout=silence_seconds, context=ssl.create_default_context())
    tunnel.set_tunnel(target.host, target.port, headers=headers)
    return tunnel, target.path, {}


class _PinnedHttps(http.client.HTTPSConnection):
    def __init__(self, host: str, address: str, port: int, silence_seconds: float) -> None:
        self._tls = ssl.create_default_context()
        self._name = host
        super().__init__(address, port, timeout=silence_seconds, context=self._tls)

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
