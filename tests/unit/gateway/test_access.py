"""Whose address counts: the trusted proxies' word, and nobody else's."""

import ipaddress
from typing import Any, cast

import pytest
from litestar.types import Scope

from orbitbot.gateway.access import client_address

TRUSTED = [ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("10.7.0.0/24")]


def scope(peer: str | None, *forwarded: str) -> Scope:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    found: Any = {"client": (peer, 1) if peer is not None else None, "headers": headers}
    return cast("Scope", found)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        ("203.0.113.1", ["198.51.100.1"], "203.0.113.1"),  # a stranger's word
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # left of it: the caller's own words
        ("127.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1, 10.7.0.9"], "198.51.100.1"),  # two proxies
        ("127.0.0.1", ["10.7.0.9"], "10.7.0.9"),  # a proxy calls by itself
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["nonsense, 10.7.0.9"], "10.7.0.9"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64"),
        ("127.0.0.1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("127.0.0.1", ["198.51.100.1:4711"], "127.0.0.1"),
        (None, ["198.51.100.1"], "unknown"),
        ("unix", ["198.51.100.1"], "unix"),
    ],
)
def test_client_address(peer: str | None, forwarded: list[str], address: str) -> None:
    assert client_address(scope(peer, *forwarded), TRUSTED) == address
