"""Which places of the network users may send the server to (SSRF).

Only public addresses, whatever a name or a number is written as: it is what the name leads to that is judged, every one of its
addresses, and a connection goes to the very address that was judged. Hosts of one's own network are named in a setting.
"""

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urlsplit

from kargah.kit.errors import BadInput, KargahError

Address = IPv4Address | IPv6Address
LONGEST_URL = 2000
PORTS = {"http": 80, "https": 443}
#: IPv6 addresses that only wrap an IPv4 one, for gateways to unwrap.
_NAT64 = [ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48")]


class BadUrl(BadInput):
    """``reason``: url_scheme, url_credentials, url_host or url_form."""

    code = "BAD_URL"


class AddressRefused(BadInput):
    """``host`` leads to ``address``, which is not public."""

    code = "ADDRESS_REFUSED"


class HostUnknown(KargahError):
    """``host``: no address is known for it."""

    code = "HOST_UNKNOWN"
    status = 502


@dataclass(frozen=True)
class Target:
    """An http or https URL taken apart. ``path`` has its query; ``shown`` has not, for it may hold a key."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def shown(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path.partition('?')[0]}"


def parsed(url: str) -> Target:
    """Raises BadUrl. A name in another script becomes its ASCII form; what stands behind ``#`` is for browsers only."""
    url = url.strip()
    if len(url) > LONGEST_URL or "\\" in url or any(ord(letter) < 33 or ord(letter) == 127 for letter in url):
        raise BadUrl(field="url", reason="url_form")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadUrl(field="url", reason="url_form") from error
    if parts.scheme not in PORTS:
        raise BadUrl(field="url", reason="url_scheme")
    if parts.username is not None or parts.password is not None:
        raise BadUrl(field="url", reason="url_credentials")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{quote(parts.query, safe=_QUERY)}" if parts.query else "")
    return Target(parts.scheme, _ascii(host), PORTS[parts.scheme] if port is None else port, path)


_QUERY = "/%:@!$&'()*+,;=~-._?"


def _ascii(host: str) -> str:
    if ":" in host:
        return host
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        name = ""
    if not name or not all(letter.isalnum() or letter in "-._" for letter in name):
        raise BadUrl(field="url", reason="url_host")
    return name.rstrip(".").lower()


def check_literal(target: Target, allowed: Iterable[str]) -> None:
    """What can be judged without asking anybody: an address written as one. Raises AddressRefused."""
    try:
        address = ipaddress.ip_address(target.host)
    except ValueError:
        return
    _require(target.host, address, list(allowed))


def resolved(target: Target, allowed: Iterable[str]) -> Address:
    """The address to connect to. Raises HostUnknown; AddressRefused when any of the host's addresses is none to go to."""
    addresses = _found(target)
    entries = list(allowed)
    for address in addresses:
        _require(target.host, address, entries)
    return addresses[0]


def is_named(target: Target, allowed: Sequence[str]) -> bool:
    """Whether all that the host leads to was named by an admin, public or not. Raises HostUnknown."""
    return all(any(_permits(entry, target.host, address) for entry in allowed) for address in _found(target))


def _require(host: str, address: Address, allowed: Sequence[str]) -> None:
    if not is_public(address) and not any(_permits(entry, host, address) for entry in allowed):
        raise AddressRefused(host=host, address=str(address))


def is_public(address: Address) -> bool:
    """Neither of this machine, nor of a private network, nor of a link (where clouds keep their keys), nor for many at once."""
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    if address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False):
        return False
    return address.is_global


def _wrapped(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _found(target: Target) -> list[Address]:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostUnknown(host=target.host) from error
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _permits(entry: str, host: str, address: Address) -> bool:
    """``entry``: an address, a network, a host, or with a dot in front all hosts below one."""
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name = entry.lower().rstrip(".")
        return host.endswith(name) if name.startswith(".") else host == name
    inner = _wrapped(address)
    return address in network or (inner is not None and inner in network)
