"""The mesh without a host: which addresses are refused, who is whose peer, what `wg-quick` gets to read."""

from typing import Any

import pytest

from tests.ansible.conftest import load_plugin

filters = load_plugin("plugins/filter/mesh.py")
interface = load_plugin("plugins/modules/wireguard_interface.py")

NETWORK = "10.66.0.0/24"
ADDRESSES = {"a": "10.66.0.1", "b": "10.66.0.2"}
KEY = "0" * 43 + "="


def problems(
    hosts: list[str], addresses: dict[str, str], network: str = NETWORK, name: str = "mesh0"
) -> list[str]:
    found: list[str] = filters.mesh_problems(hosts, addresses, network, name)
    return found


def test_good_addresses_have_no_problem() -> None:
    assert problems(["a", "b"], ADDRESSES) == []


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        ({"a": "10.66.0.1", "b": "10.66.0.1"}, "mesh_addresses: 10.66.0.1 is given to a and b"),
        ({"a": "10.66.0.1", "b": "10.66.1.2"}, "mesh_addresses: b has 10.66.1.2, which is no host's address"),
        ({"a": "10.66.0.0", "b": "10.66.0.2"}, "mesh_addresses: a has 10.66.0.0, which is no host's address"),
        ({"a": "10.66.0.255", "b": "10.66.0.2"}, "mesh_addresses: a has 10.66.0.255, which is no host's"),
        ({"a": "10.66.0", "b": "10.66.0.2"}, "mesh_addresses: a: Expected 4 octets"),
        ({"a": "10.66.0.1"}, "mesh_addresses: b has no address; free is 10.66.0.2"),
    ],
)
def test_a_bad_address_is_named_with_its_host(addresses: dict[str, str], words: str) -> None:
    (problem,) = problems(["a", "b"], addresses)
    assert problem.startswith(words)


def test_the_address_of_a_host_that_is_gone_stays_reserved() -> None:
    assert problems(["a"], ADDRESSES) == []
    (problem,) = problems(["a", "c"], ADDRESSES)
    assert problem == "mesh_addresses: c has no address; free is 10.66.0.3"


def test_each_host_without_an_address_is_told_another_one() -> None:
    first, second = problems(["a", "b", "c", "d"], ADDRESSES)
    assert (first[-9:], second[-9:]) == ("10.66.0.3", "10.66.0.4")


def test_a_full_network_is_said_to_be_full() -> None:
    (problem,) = problems(["a", "b", "c"], ADDRESSES, "10.66.0.0/30")
    assert problem == "mesh_addresses: c has no address; all 2 addresses of 10.66.0.0/30 are taken"


@pytest.mark.parametrize("network", ["10.66.0.1/24", "fd00::/64", "mesh"])
def test_a_bad_network_is_named(network: str) -> None:
    (problem,) = problems(["a"], ADDRESSES, network)
    assert problem.startswith("mesh_network: ")


def test_a_bad_interface_is_named() -> None:
    (problem,) = problems(["a"], ADDRESSES, name="../mesh")
    assert problem.startswith("mesh_interface: '../mesh' must be")


def test_peers_are_all_others_with_what_they_told() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "a": {},
        "b": {"ansible_host": "192.0.2.2", "__mesh_key": {"public_key": KEY}},
        "c": {"ansible_host": "2001:db8::3", "mesh_port": 51999},
        "d": {"mesh_endpoint": ""},
    }
    addresses = ADDRESSES | {"c": "10.66.0.3", "d": "10.66.0.4"}
    assert filters.mesh_peers(["d", "c", "a", "b"], "a", hostvars, addresses, 51820) == [
        {"name": "b", "address": "10.66.0.2", "endpoint": "192.0.2.2:51820", "public_key": KEY},
        {"name": "c", "address": "10.66.0.3", "endpoint": "[2001:db8::3]:51999", "public_key": ""},
        {"name": "d", "address": "10.66.0.4", "endpoint": "", "public_key": ""},
    ]


def parameters(**changed: Any) -> dict[str, Any]:
    peers = [
        {"name": "b", "address": "10.66.0.2", "endpoint": "192.0.2.2:51820", "public_key": KEY},
        {"name": "c", "address": "10.66.0.3", "endpoint": "", "public_key": "1" + KEY[1:]},
        {"name": "d", "address": "10.66.0.4", "endpoint": "192.0.2.4:1", "public_key": ""},
    ]
    return {"address": "10.66.0.1/24", "port": 51820, "mtu": 1420, "keepalive": 25, "peers": peers} | changed


def test_the_file_tells_its_peers_keys_again() -> None:
    text = interface.render(parameters(), "private")
    assert interface.known_keys(text) == {"b": KEY, "c": "1" + KEY[1:]}
    assert text.count("PrivateKey = private\n") == 1


def test_only_who_can_be_sent_to_is_kept_alive() -> None:
    assert interface.render(parameters(), "private").count("PersistentKeepalive = 25") == 1
    assert "PersistentKeepalive" not in interface.render(parameters(keepalive=0), "private")


@pytest.mark.parametrize("keepalive", [0, 25])
def test_what_runs_is_compared_in_wireguards_own_words(keepalive: int) -> None:
    dump = (
        f"private\tpublic\t51820\toff\n"
        f"{KEY}\t(none)\t203.0.113.9:7\t10.66.0.2/32\t1763816400\t1\t2\t{keepalive or 'off'}\n"
        f"1{KEY[1:]}\t(none)\t(none)\t10.66.0.3/32\t0\t0\t0\toff\n"
    )
    wanted = interface.wanted_state(parameters(keepalive=keepalive), "private")
    assert interface.running_state(dump) == wanted
    assert interface.running_state(dump.replace("10.66.0.3", "10.66.0.9")) != wanted
