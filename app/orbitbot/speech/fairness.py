"""Whose turn it is: many clients' work in one queue, in which no client's flood keeps the others waiting.

Start-time fair queueing: every client has a virtual time that rises by the cost of what was taken of its
work, and the client that is furthest behind comes next. A client that comes back after a pause starts at the
time of those that are there, so that it has saved nothing up.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar, get_args

T = TypeVar("T")

Priority = Literal["interactive", "bulk"]

PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
WEIGHTS: Final[dict[Priority, float]] = {"interactive": 8.0, "bulk": 1.0}  # shares while both wait


class _Line(Generic[T]):
    """What one client waits for at one priority: the items in order, and how much it has had."""

    def __init__(self, time: float) -> None:
        self.items: deque[tuple[T, float]] = deque()
        self.time = time


class FairQueue(Generic[T]):
    """Not safe for threads: its owner holds a lock.

    Memory is bounded by what waits: a client without work is forgotten.
    """

    def __init__(self) -> None:
        self._lines: dict[Priority, dict[str, _Line[T]]] = {priority: {} for priority in PRIORITIES}
        self._now: dict[Priority, float] = dict.fromkeys(PRIORITIES, 0.0)  # virtual time of each priority
        self._had: dict[Priority, float] = dict.fromkeys(PRIORITIES, 0.0)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, item: T, *, client: str, cost: float, priority: Priority = "interactive") -> None:
        """Put `item` at the end of its client's line.

        Args:
            cost: of the work that it is, in any unit that is the same for all.
        """
        lines = self._lines[priority]
        if not lines:  # nobody of this priority waited: it has saved nothing up either
            others = [self._had[other] for other in PRIORITIES if self._lines[other]]
            self._had[priority] = max(self._had[priority], *others) if others else self._had[priority]
        line = lines.get(client)
        if line is None:
            line = lines[client] = _Line(self._now[priority])
        line.items.append((item, cost))
        self._count += 1

    def pop(self, accept: Callable[[T], bool] = lambda _: True) -> T | None:
        """The next item, of those that stand first in their line and that `accept` takes."""
        for priority in sorted(PRIORITIES, key=self._had.__getitem__):
            lines = self._lines[priority]
            for client, line in sorted(lines.items(), key=lambda each: each[1].time):
                item, cost = line.items[0]
                if not accept(item):
                    continue
                line.items.popleft()
                self._count -= 1
                self._now[priority] = line.time
                line.time += cost
                self._had[priority] += cost / WEIGHTS[priority]
                if not line.items:
                    del lines[client]
                    self._left(priority, line.time)
                return item
        return None

    def _left(self, priority: Priority, time: float) -> None:
        """A client's line is empty: with nobody left the clock may go on to where it was."""
        if not self._lines[priority]:
            self._now[priority] = time
