"""Pairing and its links as the gateway keeps them."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from orbitbot.contracts.bot import BotState

LinkState = Literal["unopened", "opened", "used", "replaced", "expired"]


class StoredPairing(msgspec.Struct, frozen=True):
    """What a client's bot told last. `seconds_left` is of its code; below 0 it has passed."""

    event: dict[str, Any]
    seconds_left: float | None
    reported_at: datetime


class BotNow(msgspec.Struct, frozen=True):
    """What pairing needs to know of the bot's last sign of life."""

    state: BotState
    reason: str
    number: str
    state_since: datetime
    silent_seconds: float


class StoredLink(msgspec.Struct, frozen=True):
    """A row of `pairing_links`."""

    secret_hash: str
    client_id: str
    expires_at: datetime
    is_expired: bool
    opened_at: datetime | None
    browser_hash: str | None
    used_at: datetime | None
    replaced_at: datetime | None

    @property
    def state(self) -> LinkState:
        """What has become of it; the first that applies of used, replaced, expired, opened."""
        if self.used_at is not None:
            return "used"
        if self.replaced_at is not None:
            return "replaced"
        if self.is_expired:
            return "expired"
        return "unopened" if self.opened_at is None else "opened"
