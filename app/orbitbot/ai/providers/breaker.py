"""Circuit breakers: a model that keeps failing is left alone for a while, for one key at a time.

Per process, and by model *and* key: a client whose own key has no credit closes nothing for the others.
"""

import time
from collections.abc import Callable
from typing import Final, Literal

import msgspec

OPEN_SECONDS: Final = 30.0  # for which nobody asks after too many failures
LONGEST_OPEN: Final = 300.0  # seconds; however long the service wants to be left alone
KEPT: Final = 5_000  # breakers, per process

State = Literal["closed", "half_open", "open"]


class _Breaker(msgspec.Struct):
    failures: int = 0
    open_until: float = 0.0
    probing_until: float = 0.0


class Breakers:
    """Which models may be asked with which key. A key is known here by its digest alone."""

    def __init__(
        self, failures: int, probe_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._probe_seconds = probe_seconds
        self._now = now
        self._breakers: dict[tuple[str, str], _Breaker] = {}

    def allows(self, model: str, key: str) -> bool:
        """Whether the model may be asked. After the pause one caller at a time may try."""
        breaker = self._breakers.get((model, key))
        now = self._now()
        if breaker is None or breaker.open_until == 0.0:
            return True
        if now < breaker.open_until or now < breaker.probing_until:
            return False
        breaker.probing_until = now + self._probe_seconds
        return True

    def succeeded(self, model: str, key: str) -> None:
        """It has answered."""
        self._breakers.pop((model, key), None)

    def failed(self, model: str, key: str, retry_after: float | None = None) -> None:
        """It has not. A `retry_after` opens the breaker at once."""
        if len(self._breakers) >= KEPT:
            self._breakers.clear()
        breaker = self._breakers.setdefault((model, key), _Breaker())
        breaker.failures += 1
        breaker.probing_until = 0.0
        if retry_after:
            breaker.open_until = self._now() + min(retry_after, LONGEST_OPEN)
        elif breaker.failures >= self._limit:
            breaker.open_until = self._now() + OPEN_SECONDS

    def states(self) -> dict[str, State]:
        """Model → the worst state over all keys, of those that have failed lately."""
        worst: dict[str, State] = {}
        order: tuple[State, ...] = ("closed", "half_open", "open")
        for (model, _), breaker in self._breakers.items():
            state: State = "closed"
            if breaker.open_until:
                state = "open" if self._now() < breaker.open_until else "half_open"
            worst[model] = max(worst.get(model, "closed"), state, key=order.index)
        return worst
