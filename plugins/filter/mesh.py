"""Filters about the private mesh: which addresses are wrong, and whom a host has as peers."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_MAX_INTERFACE_NAME: Final = 15  # characters that the kernel takes


def mesh_problems(
    hosts: Sequence[str], addresses: Mapping[str, str], network: str, interface: str
) -> list[str]:
    """What is wrong with the addresses of `hosts`, one sentence each; empty when nothing is.

    A host without an address is told the lowest one that is free. Addresses of hosts that are not in `hosts`
    stay reserved: they count as taken, and nothing else is said of them.
    """
    problems = []
    if not 1 <= len(interface) <= _MAX_INTERFACE_NAME or not interface.isalnum():
        problems.append(
            f"mesh_interface: {interface!r} must be 1 to {_MAX_INTERFACE_NAME} letters and digits"
        )
    try:
        net = ipaddress.IPv4Network(network)
    except ValueError as error:
        return [*problems, f"mesh_network: {error}"]
    usable = net.num_addresses - 2
    taken = set()
    for host, address in addresses.items():
        try:
            value = ipaddress.IPv4Address(address)
        except ValueError as error:
            problems.append(f"mesh_addresses: {host}: {error}")
            continue
        taken.add(value)
        if value not in net or value in (net.network_address, net.broadcast_address):
            problems.append(
                f"mesh_addresses: {host} has {address}, which is no host's address in mesh_network {network}"
            )
    for address, count in Counter(addresses.values()).items():
        if count > 1:
            names = [host for host, each in addresses.items() if each == address]
            problems.append(f"mesh_addresses: {address} is given to {' and '.join(names)}")
    free = (str(each) for each in net.hosts() if each not in taken)
    for host in hosts:
        if host not in addresses:
            advice = next(free, "")
            hint = f"free is {advice}" if advice else f"all {usable} addresses of {network} are taken"
            problems.append(f"mesh_addresses: {host} has no address; {hint}")
    return problems


def mesh_peers(
    hosts: Sequence[str],
    me: str,
    hostvars: Mapping[str, Mapping[str, Any]],
    addresses: Mapping[str, str],
    port: int,
) -> list[dict[str, str]]:
    """The peers of host `me`, sorted by name.

    Each has `name`, `address`, `endpoint` (empty where others cannot reach the host) and `public_key` (empty
    where the host did not tell its key in this run).

    Args:
        port: the port of a host that sets no `mesh_port` of its own.
    """
    peers = []
    for name in sorted(set(hosts) - {me}):
        variables = hostvars[name]
        endpoint = str(variables.get("mesh_endpoint", variables.get("ansible_host", name)))
        peers.append(
            {
                "name": name,
                "address": addresses[name],
                "endpoint": f"{_bracketed(endpoint)}:{variables.get('mesh_port', port)}" if endpoint else "",
                "public_key": str(variables.get("__mesh_key", {}).get("public_key", "")),
            }
        )
    return peers


def _bracketed(host: str) -> str:
    """An IPv6 address in brackets, as it stands before a port; anything else as it is."""
    return f"[{host}]" if ":" in host else host


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by their names in playbooks."""
        return {"orbitbot_mesh_problems": mesh_problems, "orbitbot_mesh_peers": mesh_peers}
