"""One window heard, once or again: which attempt is good enough, and what to try where none was.

The rules and thresholds are faster-whisper's: a text that repeats itself or of which the model is unsure is
tried again at a higher temperature, unless the window holds no speech at all.
"""

import zlib
from typing import Final

import msgspec

TEMPERATURES: Final = (0.0, 0.2, 0.4)
MAX_COMPRESSION: Final = 2.4  # a text that shrinks to less than 1/2.4 repeats itself
MIN_LOG_PROBABILITY: Final = -1.0
NO_SPEECH: Final = 0.6  # probability above which an unsure window is taken for silence


class Attempt(msgspec.Struct, frozen=True):
    """What the decoder made of a window.

    Attributes:
        log_probability: mean of the tokens'.
        no_speech: probability that nobody speaks in the window.
    """

    tokens: tuple[int, ...]
    text: str
    log_probability: float
    no_speech: float
    temperature: float

    @property
    def compression(self) -> float:
        """How many times smaller the text is when compressed."""
        plain = self.text.encode()
        return len(plain) / len(zlib.compress(plain))

    @property
    def is_silence(self) -> bool:
        """Unsure words over what is probably no speech."""
        return self.no_speech > NO_SPEECH and self.log_probability < MIN_LOG_PROBABILITY


class Attempts:
    """All attempts at one window.

    Args:
        first_temperature: of the first one; lower ones are not tried.
    """

    def __init__(self, first_temperature: float = 0.0) -> None:
        self._left = [first_temperature, *(each for each in TEMPERATURES if each > first_temperature)]
        self._tried: list[Attempt] = []

    @property
    def temperature(self) -> float:
        """Of the next attempt."""
        return self._left[0]

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self._tried)

    def take(self, attempt: Attempt) -> Attempt | None:
        """The attempt to use, or None if the window has to be tried again at `temperature`."""
        self._tried.append(attempt)
        repeats = attempt.compression > MAX_COMPRESSION
        unsure = attempt.log_probability < MIN_LOG_PROBABILITY
        if not (repeats or unsure) or attempt.is_silence:
            return attempt
        del self._left[0]
        if self._left:
            return None
        plain = [each for each in self._tried if each.compression <= MAX_COMPRESSION]
        return max(plain or self._tried, key=lambda each: each.log_probability)
