"""How many more bots a host has room for, and which host a client gets."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from orbitbot.contracts.fleet import HostMeasure, MeasuredHost
from orbitbot.foundation.errors import Conflict

NEVER_MEASURED: Final = "it was never measured"
DRAINING: Final = "it is being drained"


class Room(msgspec.Struct, frozen=True):
    """For how many more bots there is room; `reason` why for none."""

    bots: int
    reason: str = ""


def room(measure: HostMeasure | None, placed: int, *, draining: bool = False) -> Room:
    """The room of one host.

    Args:
        placed: clients that belong there. Those whose bots do not run yet will take memory that was
            measured as free.
    """
    if measure is None:
        return Room(0, NEVER_MEASURED)
    if draining:
        return Room(0, DRAINING)
    limits = measure.limits
    by_number = limits.bots - max(placed, measure.bots)
    if by_number <= 0:
        return Room(0, f"it has {max(placed, measure.bots)} of {limits.bots} bots")
    if measure.load > limits.load:
        return Room(0, f"its processors are {measure.load:.0%} busy, the limit is {limits.load:.0%}")
    coming = max(0, placed - measure.bots) * limits.bot_mib
    by_memory = (measure.free_mib - coming - limits.spare_mib) // limits.bot_mib
    if by_memory <= 0:
        return Room(
            0,
            f"{max(0, measure.free_mib - coming)} MiB of its memory are free, a bot takes {limits.bot_mib} "
            f"and {limits.spare_mib} stay free",
        )
    return Room(min(by_number, by_memory))


class Hosts:
    """The hosts that may be chosen, filling up as they are.

    Args:
        placed: host → clients that belong there.
        draining: hosts that get nothing new.
    """

    def __init__(
        self, hosts: Sequence[MeasuredHost], placed: Mapping[str, int], draining: Iterable[str] = ()
    ) -> None:
        self._measures = {host.name: host.measure for host in hosts}
        self._placed = Counter(placed)
        self._draining = set(draining)

    def room(self, name: str) -> Room:
        """What is left on one host."""
        return room(self._measures.get(name), self._placed[name], draining=name in self._draining)

    def choose(self, wanted: str = "") -> str:
        """The host with the most room, or the wanted one; it has one bot more then.

        Raises:
            Conflict: there is no room; says why for each host.
        """
        if wanted:
            found = self.room(wanted)
            if not found.bots:
                raise Conflict(f"{wanted} takes no more bots: {found.reason}")
            self._placed[wanted] += 1
            return wanted
        rooms = {name: self.room(name) for name in sorted(self._measures)}
        if not rooms:
            raise Conflict("no host was measured, so none can be chosen")
        best = max(rooms, key=lambda name: rooms[name].bots)
        if not rooms[best].bots:
            why = "; ".join(f"{name}: {each.reason}" for name, each in rooms.items())
            raise Conflict(f"no host takes another bot: {why}")
        self._placed[best] += 1
        return best

    def take_back(self, name: str) -> None:
        """One bot less there."""
        self._placed[name] -= 1
