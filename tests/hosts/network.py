"""Bridges, packet rules and faults between hosts.

Faults are packet rules by port of the bridge, not by taking a cable down: the host keeps its carrier and
address and hears nothing, as when a network far away breaks; and a fault outlives a restart of its host.
"""

import ipaddress
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.hosts.command import HostsError, run
from tests.hosts.plan import FleetPlan, HostPlan

_MULTICAST = "224.0.0.0/4, 255.255.255.255"


class _Address(msgspec.Struct):
    local: str | None = None
    prefixlen: int = 32


class _Interface(msgspec.Struct):
    addr_info: list[_Address] = []


class _Route(msgspec.Struct):
    dst: str


def used_names() -> set[str]:
    """The name of every network interface."""
    return {entry.name for entry in Path("/sys/class/net").iterdir()}


def used_networks() -> list[ipaddress.IPv4Network]:
    """Every IPv4 network that this machine has an address or a route in, the default route aside."""
    interfaces = msgspec.json.decode(run(["ip", "-json", "-4", "address"]), type=list[_Interface])
    found = [
        ipaddress.IPv4Network((address.local, address.prefixlen), strict=False)
        for interface in interfaces
        for address in interface.addr_info
        if address.local
    ]
    routes = msgspec.json.decode(run(["ip", "-json", "-4", "route"]) or "[]", type=list[_Route])
    found += [ipaddress.IPv4Network(route.dst) for route in routes if route.dst != "default"]
    return found


def create(plan: FleetPlan) -> None:
    """Make the fleet's bridge, the refusal of all that would leave it, and the (empty) sets of faults."""
    _create_bridge(plan.bridge, f"{plan.gateway}/24")
    for family in ("bridge", "inet"):
        _remove_table(family, plan.bridge)  # rules would be added to those of a table left behind
    run(["nft", "-f", "-"], stdin=render_rules(plan))


def remove(plan: FleetPlan) -> None:
    """Remove what `create` made, however much of it there is."""
    _remove_table("bridge", plan.bridge)
    _remove_table("inet", plan.bridge)
    _remove_interface(plan.bridge)


def create_cache_interface(name: str, address: str) -> None:
    """Make the package cache's interface and keep everything from outside this machine off its address."""
    _create_bridge(name, f"{address}/32")
    rules = f"""\
table inet {name} {{
  chain guard {{
    type filter hook prerouting priority 0;
    meta iifkind != "bridge" iif != "lo" ip daddr {address} drop
  }}
}}
"""
    run(["nft", "-f", "-"], stdin=rules)


def remove_cache_interface(name: str) -> None:
    """Remove what `create_cache_interface` made, however much of it there is."""
    _remove_table("inet", name)
    _remove_interface(name)


def render_rules(plan: FleetPlan) -> str:
    """The fleet's packet rules, in nft's language.

    What a host sends beyond its bridge is refused at once instead of hanging; the package cache is local to
    this machine and excepted. Three sets make the faults: `isolated` ports exchange nothing with other hosts,
    `unreachable` ports nothing with this machine, and `cut` pairs nothing from the first port to the second
    (but ARP: its answers travel the other way).
    """
    cache = plan.proxy.removeprefix("http://").partition(":")[0]
    allowed = f"{plan.subnet}, {cache}, {_MULTICAST}"
    return f"""\
table inet {plan.bridge} {{
  chain refuse {{
    type filter hook prerouting priority 0;
    iifname "{plan.bridge}" ip daddr != {{ {allowed} }} reject with icmp type net-unreachable
  }}
}}
table bridge {plan.bridge} {{
  set isolated {{ type ifname; }}
  set unreachable {{ type ifname; }}
  set cut {{ type ifname . ifname; }}
  chain between_hosts {{
    type filter hook forward priority 0;
    iifname @isolated drop
    oifname @isolated drop
    ether type != arp iifname . oifname @cut drop
  }}
  chain to_this_machine {{
    type filter hook input priority 0;
    iifname @unreachable drop
  }}
  chain from_this_machine {{
    type filter hook output priority 0;
    oifname @unreachable drop
  }}
}}
"""


def isolate(plan: FleetPlan, host: HostPlan, *, keep_controller: bool) -> None:
    """Cut `host` off from every other host, and from this machine unless `keep_controller`."""
    _add(plan, "isolated", [f'"{host.port}"'])
    if not keep_controller:
        _add(plan, "unreachable", [f'"{host.port}"'])


def cut(plan: FleetPlan, sender: HostPlan, receiver: HostPlan) -> None:
    """Drop everything that `sender` sends to `receiver`; the other direction stays."""
    _add(plan, "cut", [f'"{sender.port}" . "{receiver.port}"'])


def heal(plan: FleetPlan) -> None:
    """End every fault of the fleet."""
    for name in ("isolated", "unreachable", "cut"):
        run(["nft", "flush", "set", "bridge", plan.bridge, name])


def _add(plan: FleetPlan, name: str, elements: Iterable[str]) -> None:
    run(["nft", "add", "element", "bridge", plan.bridge, name, "{", ", ".join(elements), "}"])


def _create_bridge(name: str, address: str) -> None:
    if name in used_names():
        raise HostsError(
            f"there is already a network interface {name}; `python -m tests.hosts down --all` removes ours"
        )
    run(["ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0"])
    run(["ip", "address", "add", address, "dev", name])
    run(["ip", "link", "set", name, "up"])


def _remove_interface(name: str) -> None:
    if name in used_names():
        run(["ip", "link", "delete", name])


def _remove_table(family: str, name: str) -> None:
    run(["nft", "-f", "-"], stdin=f"table {family} {name}\ndelete table {family} {name}\n")
