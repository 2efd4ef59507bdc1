"""A bound on an amount that is held, such as seconds of decoded audio: later ones wait, in order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Budget:
    """At most `limit` of something at a time; what is larger than all of it may be alone.

    Args:
        limit: in any unit.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self.held = 0.0

    @asynccontextmanager
    async def holding(self, amount: float) -> AsyncIterator[None]:
        """Wait until there is room for `amount`, and hold it."""
        if self._waiting or not self._fits(amount):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((amount, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.cancelled():
                    self._waiting = deque(each for each in self._waiting if each[1] is not turn)
                else:  # it was our turn just then
                    self.held -= amount
                self._admit()
                raise
        else:
            self.held += amount
        try:
            yield
        finally:
            self.held -= amount
            self._admit()

    def _fits(self, amount: float) -> bool:
        return not self.held or self.held + amount <= self._limit

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            amount, turn = self._waiting.popleft()
            if not turn.done():
                self.held += amount
                turn.set_result(None)
