"""Whether an answer gives the system text away: word by word, backwards, or in base64.

A model can be talked into reciting what it was told. What it recites in its own words cannot be told from
an answer: so nothing secret belongs into a personality. What the business says to everybody (its FAQ, its
prices) is not private, and a sentence or two of the personality neither: an assistant that introduces itself
as it was told to does nothing wrong.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from orbitbot.ai.models import Profile
from orbitbot.ai.prompt import rules
from orbitbot.plugins.matching import plain

RULE_RUN: Final = 8  # words in a row of our own rules
PERSONALITY_RUN: Final = 30  # words in a row of the client's personality
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")


def gives_away(answer: str, profile: Profile) -> bool:
    """Whether a contact would read the system text in this answer."""
    private = _private(rules(profile), profile.personality)
    return any(
        not private[0].isdisjoint(_runs(text, RULE_RUN))
        or not private[1].isdisjoint(_runs(text, PERSONALITY_RUN))
        for text in _readings(answer)
    )


@lru_cache(maxsize=500)
def _private(rule_text: str, personality: str) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(_runs(rule_text, RULE_RUN)), frozenset(_runs(personality, PERSONALITY_RUN))


def _runs(text: str, length: int) -> Iterator[str]:
    words = plain(text).split()
    return (" ".join(words[start : start + length]) for start in range(len(words) - length + 1))


def _readings(answer: str) -> Iterator[str]:
    """The answer as it is, and as somebody may read it who had asked for it in disguise."""
    yield answer
    yield answer[::-1]
    for found in _BASE64.findall(answer):
        try:
            yield base64.b64decode(found + "=" * (-len(found) % 4)).decode("utf-8", "ignore")
        except (binascii.Error, ValueError):
            continue
