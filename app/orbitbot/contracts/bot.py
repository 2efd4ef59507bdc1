"""`PUT /api/clients/{clientId}/bot`: the bot says how it is and gets the settings it runs by."""

from typing import Literal

import msgspec

# How a bot is. `reason` says why in words; `until` when it is expected to end, where that is known.
BotState = Literal[
    "starting",             # the process runs, the channel does not yet
    "waiting_for_pairing",  # no phone is linked: see contracts.pairing
    "passkey_required",     # WhatsApp asks the phone's owner for a passkey before it links
    "connected",            # messages come and go
    "reconnecting",         # the connection is lost, the next attempt is on its way
    "deaf",                 # connected by the socket's word, but nothing comes back: about to be restarted
    "restricted",           # connected, but WhatsApp lets it open no new conversations (until)
    "client_outdated",      # WhatsApp takes this release's protocol no longer: upgrade
    "logged_out",           # the phone's owner, or `logout`, ended the link: pair again
    "banned",               # WhatsApp has locked the number (until, or for good)
    "paused",               # an operator paused the client: it receives, and answers nobody
    "stopping",             # the process was told to end
]  # fmt: skip

MAX_REASON = 1000  # characters

# A bot shows the generation of its lease with every call. A lower one than its client's is refused with
# problem type `superseded` (409), and the bot ends: another host has taken over.
GENERATION_HEADER = "OrbitBot-Generation"


class BotStatus(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Sent at every change of state, and every 15 s as a sign of life.

    Attributes:
        until: Unix time in seconds at which the state is expected to end: of `restricted` and `banned`.
        generation: of the lease that the process runs on (see `GENERATION_HEADER`).
        number: of the linked phone, digits only; empty where none is linked or the channel has no such thing.
        phone_seen_at: Unix time in seconds at which the linked phone itself last showed a sign of life, as
            far as this bot has seen; None where it never has. After two silent weeks WhatsApp drops the link.
        journal_backlog: turns not yet answered.
    """

    state: BotState
    channel: str
    release: str
    reason: str = ""
    until: float | None = None
    generation: int = 0
    number: str = ""
    phone_seen_at: float | None = None
    pid: int = 0
    journal_backlog: int = 0


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
    restored_id: str = ""  # the last restore of the database or of this client; a new one begins a resync
    restored_since: float = 0.0  # Unix time of the moment that was restored
