"""Time zones by name; UTC for one that is not known here."""

import logging
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

log = logging.getLogger(__name__)


@lru_cache(maxsize=1000)
def zone_of(name: str) -> tzinfo:
    """The IANA zone `name`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        log.warning("unknown time zone: UTC is used", extra={"action": name})
        return UTC
