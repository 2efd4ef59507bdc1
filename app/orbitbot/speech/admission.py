"""How many notes a node takes: refused at once rather than kept waiting without end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from orbitbot.foundation.errors import TooManyRequests, Unavailable

_SMOOTHING: Final = 0.2  # weight of the newest note in the mean time per note
_FIRST_GUESS: Final = 1.0  # seconds per note, before any was measured
_LONGEST_RETRY: Final = 60.0  # seconds


class Admission:
    """Counts notes from the first byte of a request to its answer.

    Args:
        limit: notes held at a time.
        client_limit: … of one client.
        at_once: notes computed at the same time, about: for guessing how long the queue takes.
    """

    def __init__(self, limit: int, client_limit: int, at_once: int) -> None:
        self.limit = limit
        self._client_limit = client_limit
        self._at_once = at_once
        self._clients: Counter[str] = Counter()
        self._seconds_per_note = _FIRST_GUESS
        self.held = 0
        self.refused: Counter[str] = Counter()

    def check(self) -> None:
        """Refuse if the node is full: asked before a request's body is read.

        Raises:
            Unavailable: it is full.
        """
        if self.held >= self.limit:
            self.refused["full"] += 1
            raise Unavailable(
                f"{self.held} voice notes are waiting already", retry_after=self.expected_wait()
            )

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """A place in the node for a note of `client` (empty: nobody's).

        Raises:
            Unavailable: it is full.
            TooManyRequests: it holds as many notes of this client as one client may have.
        """
        self.check()
        if client and self._clients[client] >= self._client_limit:
            self.refused["client"] += 1
            raise TooManyRequests(
                f"{self._clients[client]} voice notes of this client are waiting already",
                retry_after=self.expected_wait(),
            )
        self.held += 1
        self._clients[client] += 1
        try:
            yield
        finally:
            self.held -= 1
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]

    def finished(self, seconds: float) -> None:
        """A note took so many seconds of the model."""
        self._seconds_per_note += _SMOOTHING * (seconds - self._seconds_per_note)

    def expected_wait(self) -> float:
        """Seconds until about half of the queue is done."""
        return min(self.held / self._at_once * self._seconds_per_note / 2, _LONGEST_RETRY)
