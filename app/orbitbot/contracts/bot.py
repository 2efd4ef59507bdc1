"""`PUT /api/clients/{clientId}/bot`: the bot says how it is and gets the settings it runs by."""

from typing import Literal

import msgspec

BotState = Literal[
    "starting", "waiting_for_pairing", "connected", "reconnecting", "logged_out", "paused", "stopping"
]


class BotStatus(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Sent at every change of state, and every 15 s as a sign of life."""

    state: BotState
    channel: str
    release: str
    reason: str = ""
    pid: int = 0
    journal_backlog: int = 0  # turns not yet answered


class BotSettings(msgspec.Struct, rename="camel"):
    """What the bot needs of its client's configuration; a change reaches it with the next sign of life."""

    config_version: int = 0
    quiet_seconds: float = 4.0  # a burst ends when the contact has been quiet this long
    burst_seconds: float = 15.0  # … or this long after its first message
    max_age_seconds: float = 6 * 3600.0  # older messages, by the channel's clock, are never answered
    typing_characters_per_second: float = 25.0  # 0: no typing time
    max_typing_seconds: float = 6.0
    answer_groups: bool = False
    muted: bool = False
    fleet_numbers: list[str] = []  # numbers of this fleet's own bots: never answered
