"""Room on a host, and which host is chosen."""

import pytest

from orbitbot.contracts.fleet import HostLimits, HostMeasure, MeasuredHost
from orbitbot.fleet.headroom import Hosts, room
from orbitbot.foundation.errors import Conflict


def measure(
    *, bots: int = 0, free: int = 4000, load: float = 0.1, most: int = 100, spare: int = 500
) -> HostMeasure:
    limits = HostLimits(bots=most, spare_mib=spare, bot_mib=50, load=0.9)
    return HostMeasure(bots=bots, total_mib=8000, free_mib=free, processors=2, load=load, limits=limits)


@pytest.mark.parametrize(
    ("given", "placed", "left", "reason"),
    [
        (measure(), 0, 70, ""),
        (measure(most=20), 5, 15, ""),
        (measure(bots=8, most=20), 5, 12, ""),
        (measure(most=5), 5, 0, "it has 5 of 5 bots"),
        (measure(bots=6, most=5), 2, 0, "it has 6 of 5 bots"),
        (measure(load=0.95), 0, 0, "its processors are 95% busy, the limit is 90%"),
        (measure(free=549), 0, 0, "549 MiB of its memory are free, a bot takes 50 and 500 stay free"),
        (measure(free=550), 0, 1, ""),
        (measure(free=550), 1, 0, "500 MiB of its memory are free, a bot takes 50 and 500 stay free"),
        (measure(bots=1, free=550), 1, 1, ""),
        (None, 0, 0, "it was never measured"),
    ],
)
def test_room(given: HostMeasure | None, placed: int, left: int, reason: str) -> None:
    found = room(given, placed)
    assert (found.bots, found.reason) == (left, reason)


def test_a_draining_host_has_no_room() -> None:
    assert room(measure(), 0, draining=True).reason == "it is being drained"


def test_the_host_with_most_room_is_chosen_and_fills_up() -> None:
    hosts = Hosts([MeasuredHost("a", measure(most=2)), MeasuredHost("b", measure(most=3))], {"b": 1})
    assert [hosts.choose() for _ in range(4)] == ["a", "b", "a", "b"]
    with pytest.raises(Conflict) as refused:
        hosts.choose()
    assert refused.value.detail == ("no host takes another bot: a: it has 2 of 2 bots; b: it has 3 of 3 bots")


def test_a_wanted_host_is_taken_within_its_limits() -> None:
    hosts = Hosts([MeasuredHost("a", measure(most=1)), MeasuredHost("b", measure())], {})
    assert hosts.choose("a") == "a"
    with pytest.raises(Conflict, match=r"a takes no more bots: it has 1 of 1 bots"):
        hosts.choose("a")
    with pytest.raises(Conflict, match=r"c takes no more bots: it was never measured"):
        hosts.choose("c")


def test_nothing_measured_is_nothing_chosen() -> None:
    with pytest.raises(Conflict, match="no host was measured"):
        Hosts([], {}).choose()
