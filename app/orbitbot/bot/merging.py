"""Merges a contact's burst of messages into one turn.

The rule looks at nothing but journaled times, so that a crash, a late timer or a catch-up after an outage
groups the same messages in the same way.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from orbitbot.bot.models import JournaledMessage

# A turn stays below what the gateway takes in one call; what is beyond begins the next turn.
MAX_MEMBERS: Final = 50
MAX_TEXT: Final = 16_000  # characters
MAX_MEDIA: Final = 16_000_000  # bytes


class Burst(msgspec.Struct, frozen=True):
    """The oldest burst of a contact, and when it closes (Unix seconds; in the past once it is closed)."""

    members: tuple[JournaledMessage, ...]
    closes_at: float
    quiet_seconds: float

    def is_due(self, now: float) -> bool:
        """Whether the burst is over. A clock that was set back does not hold it up."""
        return now >= self.closes_at or now < self.members[-1].journaled_at - self.quiet_seconds


def oldest_burst(
    pending: Sequence[JournaledMessage], *, quiet_seconds: float, burst_seconds: float
) -> Burst | None:
    """The first burst in `pending` (one contact's messages in order), or None if there are none.

    A message belongs to the burst if it came less than `quiet_seconds` after the one before and less
    than `burst_seconds` after the first.
    """
    if not pending:
        return None
    first = pending[0]
    members = [first]
    ends_at = first.journaled_at + burst_seconds
    for message in pending[1:]:
        closes_at = min(members[-1].journaled_at + quiet_seconds, ends_at)
        if message.journaled_at >= closes_at or not _fits(members, message):
            return Burst(tuple(members), min(closes_at, message.journaled_at), quiet_seconds)
        members.append(message)
    return Burst(tuple(members), min(members[-1].journaled_at + quiet_seconds, ends_at), quiet_seconds)


def _fits(members: Sequence[JournaledMessage], message: JournaledMessage) -> bool:
    """A voice note without a file stands alone: its contact is told that it could not be heard."""
    if _lacks_media(members[0]) or _lacks_media(message):
        return False
    together = [*members, message]
    return (
        len(together) <= MAX_MEMBERS
        and sum(len(each.text) + 1 for each in together) <= MAX_TEXT
        and sum(each.media.size for each in together if each.media) <= MAX_MEDIA
    )


def _lacks_media(message: JournaledMessage) -> bool:
    return message.type == "voice" and message.media is None and not message.awaits_media
