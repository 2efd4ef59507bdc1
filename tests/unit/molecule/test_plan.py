"""Names and addresses of fleets: stable, valid, and never those of another fleet."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hosts.command import HostsError
from tests.hosts.plan import FleetPlan, FleetRequest, HostRequest, cache_address, plan_fleet

INTERFACE_NAME_LIMIT = 15  # characters; longer ones are shortened by systemd-nspawn to something else


def request(name: str = "demo", hosts: tuple[str, ...] = ("one", "two"), **rest: object) -> FleetRequest:
    return FleetRequest(name=name, hosts=tuple(HostRequest(host) for host in hosts), **rest)


def plan(wanted: FleetRequest, *others: FleetPlan) -> FleetPlan:
    return plan_fleet(
        wanted,
        used_prefixes=[other.prefix for other in others],
        used_networks=[other.network for other in others],
    )


def test_a_fleet_has_the_same_addresses_each_time() -> None:
    assert plan(request()) == plan(request())


def test_hosts_are_numbered_in_the_order_given() -> None:
    fleet = plan(request(hosts=("zebra", "ant"), subnet="10.77.9.0/24"))
    assert [(host.name, host.address) for host in fleet.hosts] == [
        ("zebra", "10.77.9.11"),
        ("ant", "10.77.9.12"),
    ]
    assert fleet.gateway == "10.77.9.1"


def test_a_host_keeps_its_groups() -> None:
    wanted = FleetRequest(name="demo", hosts=(HostRequest("one", ("bots", "gateway")),))
    assert plan(wanted).host("one").groups == ("bots", "gateway")


@given(st.lists(st.from_regex(r"\A[a-z][a-z0-9-]{0,40}\Z"), min_size=2, max_size=40, unique=True))
def test_fleets_share_nothing(names: list[str]) -> None:
    fleets: list[FleetPlan] = []
    for name in names:
        fleets.append(plan(request(name), *fleets))
    for values in (
        [fleet.bridge for fleet in fleets],
        [fleet.subnet for fleet in fleets],
        [host.machine for fleet in fleets for host in fleet.hosts],
        [host.port for fleet in fleets for host in fleet.hosts],
        [host.address for fleet in fleets for host in fleet.hosts],
    ):
        assert len(set(values)) == len(values)


def test_the_longest_interface_name_is_not_shortened() -> None:
    fleet = plan(request(hosts=tuple(f"h{number}" for number in range(200)), prefix="abcdefgh"))
    assert max(len(host.port) for host in fleet.hosts) == INTERFACE_NAME_LIMIT
    assert fleet.hosts[-1].address.endswith(".210")


def test_default_names_fit_in_the_largest_supernet() -> None:
    wanted = request(supernet="10.0.0.0/8", hosts=tuple(f"h{number}" for number in range(200)))
    assert max(len(host.port) for host in plan(wanted).hosts) <= INTERFACE_NAME_LIMIT


def test_a_network_that_this_machine_uses_is_avoided() -> None:
    first = plan(request())
    second = plan_fleet(
        request(), used_prefixes=[], used_networks=[ipaddress.IPv4Network(f"{first.gateway}/32")]
    )
    assert second.subnet != first.subnet


def test_the_package_cache_is_in_no_fleets_subnet() -> None:
    fleets: list[FleetPlan] = []
    for number in range(255):
        fleets.append(plan(request(f"f{number}"), *fleets))
    assert not any(ipaddress.IPv4Address(cache_address()) in fleet.network for fleet in fleets)
    with pytest.raises(HostsError, match=r"every subnet of 10\.77\.0\.0/16 is taken"):
        plan(request("one-too-many"), *fleets)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (request("Demo"), "'Demo' is no name for a fleet"),
        (request("../demo"), "no name for a fleet"),
        (request(hosts=()), "1 to 200 hosts, not 0"),
        (request(hosts=("one", "one")), "'one' is used twice"),
        (request(hosts=("one\n",)), "is no host name"),
        (request(hosts=("1one",)), "is no host name"),
        (request(prefix="too-long-prefix"), "at most 8"),
        (request(subnet="10.77.1.0/25"), "must be a /24"),
        (request(subnet="10.77.1.7/24"), "has host bits set"),
        (request(supernet="10.77.0.0/24"), "must be larger than a /24"),
        (request(supernet="nonsense"), "supernet 'nonsense'"),
    ],
)
def test_a_request_that_cannot_be_met_says_why(wanted: FleetRequest, message: str) -> None:
    with pytest.raises(HostsError, match=message):
        plan(wanted)


def test_a_subnet_or_prefix_of_another_fleet_is_refused() -> None:
    other = plan(request(prefix="mine", subnet="10.77.3.0/24"))
    with pytest.raises(HostsError, match=r"10\.77\.3\.0/24 is taken"):
        plan(request("second", subnet="10.77.3.0/24"), other)
    with pytest.raises(HostsError, match="prefix 'mine' is taken"):
        plan(request("second", prefix="mine"), other)


def test_an_unknown_host_is_answered_with_the_known_ones() -> None:
    with pytest.raises(HostsError, match="no host 'three'; it has one, two"):
        plan(request()).host("three")
