"""What a fleet is made of: names and addresses. Pure: nothing here touches the machine."""

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tests.hosts.command import HostsError

SUPERNET = "10.77.0.0/16"  # every fleet takes one /24 of it; the last /24 is the package cache's
PREFIX_LIMIT = 8  # characters: "vb-" + prefix + "-" + three digits must fit an interface name of 15
FIRST_HOST = 11  # last part of the first host's address; the bridge has 1
HOST_LIMIT = 200

_FLEET_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}\Z")
_HOST_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
_PREFIX = re.compile(rf"[a-z][a-z0-9]{{0,{PREFIX_LIMIT - 1}}}\Z")


class HostRequest(msgspec.Struct, frozen=True):
    """A host that is wanted: its name in the inventory and the groups it stands in."""

    name: str
    groups: tuple[str, ...] = ()


class FleetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet that is wanted. What is None is chosen so that no other fleet has it.

    Attributes:
        name: the fleet's name on this machine; a second `up` with the same name is refused.
        packages: Debian packages that the hosts already have (from a baked layer); none means a plain host.
        release: Debian release; None is this machine's own.
        prefix: starts the names of bridge, nftables table and containers, at most 8 letters and digits.
        subnet: a /24.
    """

    name: str
    hosts: tuple[HostRequest, ...]
    packages: tuple[str, ...] = ()
    release: str | None = None
    supernet: str = SUPERNET
    prefix: str | None = None
    subnet: str | None = None


class HostPlan(msgspec.Struct, frozen=True):
    """One host as it will be.

    Attributes:
        machine: the container's name, unique on this machine.
        port: the bridge's end of its network cable.
    """

    name: str
    groups: tuple[str, ...]
    machine: str
    port: str
    address: str


class FleetPlan(msgspec.Struct, frozen=True):
    """One fleet as it will be; saved before anything of it is made, so that `down` can always find it.

    Attributes:
        cgroups: the control groups below which every host gets one of its own, one per hierarchy.
        layers: the hosts' read-only folders, topmost first.
        proxy: URL of the package cache.
    """

    name: str
    prefix: str
    bridge: str
    subnet: str
    gateway: str
    hosts: tuple[HostPlan, ...]
    cgroups: tuple[Path, ...]
    layers: tuple[Path, ...]
    proxy: str

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The subnet, as an object."""
        return ipaddress.IPv4Network(self.subnet)

    def host(self, name: str) -> HostPlan:
        """The host called `name`.

        Raises:
            HostsError: there is none; the message lists those that are.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        raise HostsError(
            f"fleet {self.name} has no host {name!r}; it has {', '.join(h.name for h in self.hosts)}"
        )


def plan_fleet(
    request: FleetRequest,
    *,
    used_prefixes: Iterable[str],
    used_networks: Sequence[ipaddress.IPv4Network],
    cgroups: tuple[Path, ...] = (),
    layers: tuple[Path, ...] = (),
    proxy: str = "",
) -> FleetPlan:
    """Give every part of the fleet its name and address.

    A fleet's place follows from its name, so that it has the same addresses each time; where that place is
    taken, the next free one is used.

    Raises:
        HostsError: a name is not allowed or used twice, or a place that was asked for is taken.
    """
    _check(request)
    used = set(used_prefixes)
    slot, subnet = _place(request, used, used_networks)
    prefix = request.prefix or _prefix(slot)
    if prefix in used:
        raise HostsError(f"prefix {prefix!r} is taken by another fleet or interface")
    gateway = subnet.network_address + 1
    hosts = tuple(
        HostPlan(
            name=host.name,
            groups=host.groups,
            machine=f"{prefix}-{number}",
            port=f"vb-{prefix}-{number}",
            address=str(subnet.network_address + FIRST_HOST + number - 1),
        )
        for number, host in enumerate(request.hosts, start=1)
    )
    return FleetPlan(
        name=request.name,
        prefix=prefix,
        bridge=prefix,
        subnet=str(subnet),
        gateway=str(gateway),
        hosts=hosts,
        cgroups=cgroups,
        layers=layers,
        proxy=proxy,
    )


def check_fleet_name(name: str) -> str:
    """Return `name` if a fleet may be called so; it becomes the name of a folder.

    Raises:
        HostsError: it may not.
    """
    if not _FLEET_NAME.match(name):
        raise HostsError(f"{name!r} is no name for a fleet: lower-case letters, digits, hyphens; at most 41")
    return name


def cache_address(supernet: str = SUPERNET) -> str:
    """Where the package cache listens: outside every fleet's subnet, so that all fleets share it."""
    return str(_subnets(supernet)[-1].network_address + 1)


def _check(request: FleetRequest) -> None:
    check_fleet_name(request.name)
    if not 1 <= len(request.hosts) <= HOST_LIMIT:
        raise HostsError(f"a fleet has 1 to {HOST_LIMIT} hosts, not {len(request.hosts)}")
    names = [host.name for host in request.hosts]
    for name in names:
        if not _HOST_NAME.match(name):
            raise HostsError(
                f"{name!r} is no host name: lower-case letters, digits and hyphens, starting with a letter"
            )
        if names.count(name) > 1:
            raise HostsError(f"host name {name!r} is used twice")
    if request.prefix is not None and not _PREFIX.match(request.prefix):
        raise HostsError(f"prefix {request.prefix!r}: at most {PREFIX_LIMIT} lower-case letters and digits")


def _subnets(supernet: str) -> list[ipaddress.IPv4Network]:
    try:
        subnets = list(ipaddress.IPv4Network(supernet).subnets(new_prefix=24))
    except ValueError as error:
        raise HostsError(f"supernet {supernet!r}: {error}") from error
    if len(subnets) < 2:
        raise HostsError(f"supernet {supernet!r} has no room: it must be larger than a /24")
    return subnets


def _place(
    request: FleetRequest, used_prefixes: set[str], used_networks: Sequence[ipaddress.IPv4Network]
) -> tuple[int, ipaddress.IPv4Network]:
    slots = list(enumerate(_subnets(request.supernet)[:-1]))
    if request.subnet is not None:
        return _given_place(request.subnet, slots, used_networks)
    first = int.from_bytes(hashlib.sha256(request.name.encode()).digest()[:4], "big") % len(slots)
    for slot, subnet in slots[first:] + slots[:first]:
        prefix_free = request.prefix is not None or _prefix(slot) not in used_prefixes
        if prefix_free and not any(subnet.overlaps(other) for other in used_networks):
            return slot, subnet
    raise HostsError(f"every subnet of {request.supernet} is taken")


def _given_place(
    text: str,
    slots: Sequence[tuple[int, ipaddress.IPv4Network]],
    used_networks: Sequence[ipaddress.IPv4Network],
) -> tuple[int, ipaddress.IPv4Network]:
    try:
        subnet = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise HostsError(f"subnet {text!r}: {error}") from error
    if subnet.prefixlen != 24:
        raise HostsError(f"subnet {text!r} must be a /24")
    for other in used_networks:
        if subnet.overlaps(other):
            raise HostsError(f"subnet {subnet} is taken: this machine already uses {other}")
    known = {candidate: slot for slot, candidate in slots}
    return known.get(subnet, int(subnet.network_address) >> 8 & 0xFFFF), subnet


def _prefix(slot: int) -> str:
    return f"obh{slot:x}"
