"""Where users may send the server: public addresses only, whatever they are written as."""

import pytest

from kargah.kit import addresses
from kargah.kit.addresses import AddressRefused, BadUrl, HostUnknown

INSIDE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "0", "0.0.0.0", "localhost", "LOCALHOST.",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::ffff:169.254.169.254]",
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "2852039166", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "[fe80::1]", "[fe80::1%25lo]", "[fc00::1]", "[fec0::1]", "[ff02::1]", "۱۲۷.۰.۰.۱", "１２７.0.0.1", "127。0。0。1",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_no_way_of_writing_an_address_leads_inside(host: str) -> None:
    with pytest.raises((AddressRefused, BadUrl, HostUnknown)):
        addresses.resolved(addresses.parsed(f"http://{host}/data.csv"), [])


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "10.1.2.3"])
def test_nothing_inside_is_refused_for_want_of_a_name_only(host: str) -> None:
    with pytest.raises(AddressRefused):
        addresses.resolved(addresses.parsed(f"http://{host}/"), [])


@pytest.mark.parametrize("url", [
    "file:///etc/passwd", "ftp://example.org/a", "gopher://example.org/", "//example.org/a", "data:text/csv,a", "http://", "http:///a",
    "http://user@example.org/", "http://user:secret@example.org/", "http://example.org:99999/", "http://exa mple.org/",
    "http://example.org\\@127.0.0.1/", "http://example.org/\r\nHost: x", "http://[::1/", "http://a<b>/",
])  # fmt: skip
def test_what_is_no_plain_address_of_a_file_is_refused(url: str) -> None:
    with pytest.raises(BadUrl):
        addresses.parsed(url)


def test_public_addresses_are_gone_to() -> None:
    for host in ("8.8.8.8", "[2606:4700:4700::1111]"):
        assert addresses.is_public(addresses.resolved(addresses.parsed(f"https://{host}/a.csv"), []))


def test_ones_own_hosts_are_allowed_by_name_address_or_network() -> None:
    target = addresses.parsed("http://localhost:9000/a.csv")
    for allowed in ("localhost", "127.0.0.0/8", "127.0.0.1"):
        assert str(addresses.resolved(target, [allowed, "::1"])) in ("127.0.0.1", "::1")
    for other in ("10.0.0.0/8", "host", ".localhost", "example.org"):
        with pytest.raises(AddressRefused):
            addresses.resolved(target, [other])


def test_persian_addresses_become_those_of_the_wire_and_keys_are_not_shown() -> None:
    target = addresses.parsed("https://داده.example.org/پوشه/داده‌ها.csv?token=secret#part")
    assert target.host.startswith("xn--") and target.url.isascii()
    assert "secret" not in target.shown and "part" not in target.url
