"""Silence at night: what comes then is answered in the morning, all of a contact's messages together."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from orbitbot.bot.models import JournaledMessage
from orbitbot.contracts.bot import BotSettings


def night_ends(at: float, settings: BotSettings) -> float | None:
    """When (Unix time) the night ends in which `at` lies; None by day, and where the client has no night."""
    if not settings.night_from or not settings.night_until or settings.night_from == settings.night_until:
        return None
    begins, ends = _time(settings.night_from), _time(settings.night_until)
    here = datetime.fromtimestamp(at, _zone(settings.timezone))
    clock = here.time()
    over_midnight = begins > ends
    if over_midnight and not (clock >= begins or clock < ends):
        return None
    if not over_midnight and not begins <= clock < ends:
        return None
    day = here.date() + timedelta(days=1 if over_midnight and clock >= begins else 0)
    return datetime.combine(day, ends, here.tzinfo).timestamp()


def after_night(messages: Sequence[JournaledMessage], settings: BotSettings) -> list[JournaledMessage]:
    """The messages as bursts see them: what came at night came in the morning."""
    return [
        message
        if (morning := night_ends(message.journaled_at, settings)) is None
        else msgspec.structs.replace(message, journaled_at=morning)
        for message in messages
    ]


@lru_cache(maxsize=4)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _time(text: str) -> time:
    return time(0, 0) if text == "24:00" else time.fromisoformat(text)
