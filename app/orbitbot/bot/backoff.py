"""The pauses between attempts: exponential, jittered, and capped."""

import random
from typing import Final

FIRST_PAUSE: Final = 0.25  # seconds
LONGEST_REQUESTED_PAUSE: Final = 60.0  # seconds; a longer Retry-After is cut to this


class Backoff:
    """Gives the next pause, in seconds; `reset` after a success.

    Args:
        ceiling: the longest pause that is not asked for by the other side.
    """

    def __init__(self, ceiling: float = 15.0, first: float = FIRST_PAUSE) -> None:
        self._ceiling = ceiling
        self._first = first
        self._attempts = 0

    def reset(self) -> None:
        """Start again from the shortest pause."""
        self._attempts = 0

    def next(self, retry_after: float | None = None) -> float:
        """The next pause; at least `retry_after` (up to a minute), so that a limit is honoured.

        The jitter keeps hundreds of bots from coming back in the same instant.
        """
        pause = min(self._ceiling, self._first * 2.0**self._attempts)
        if pause < self._ceiling:
            self._attempts += 1
        jitter = random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, protects nothing)
        if retry_after is not None:
            return min(retry_after, LONGEST_REQUESTED_PAUSE) + pause * jitter * 0.1
        return pause * jitter
