"""`PUT /api/clients/{clientId}/bot`: the bot says how it is and gets the settings it runs by."""

from typing import Final, Literal

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


class BotStatus(msgspec.Struct, rename="camel"):
    """Sent at every change of state, and every 15 s as a sign of life.

    What a gateway does not know of it is passed over: after a rollback the bots may be of a later release.

    Attributes:
        until: Unix time in seconds at which the state is expected to end: of `restricted` and `banned`.
        generation: of the lease that the process runs on (see `GENERATION_HEADER`).
        number: of the linked phone, digits only; empty where none is linked or the channel has no such thing.
        lid: the number's other name at WhatsApp, `123@lid`, where it has one that is known.
        phone_seen_at: Unix time in seconds at which the linked phone itself last showed a sign of life, as
            far as this bot has seen; None where it never has. After two silent weeks WhatsApp drops the link.
        journal_backlog: turns not yet answered.
        reconnects: how often the connection was lost within a day, since the process started.
        new_chats: conversations that were opened today by the API, of `new_chats_limit` that may be.
        undelivered: messages and answers that have not left.
    """

    state: BotState
    channel: str
    release: str
    reason: str = ""
    until: float | None = None
    generation: int = 0
    number: str = ""
    lid: str = ""
    phone_seen_at: float | None = None
    pid: int = 0
    journal_backlog: int = 0
    reconnects: int = 0
    new_chats: int = 0
    new_chats_limit: int = 0
    undelivered: int = 0


# Kinds of message that hold no words, or not only, and are answered unless the client says otherwise
# (docs/api/settings.md).
ANSWERED_KINDS: Final = ("image", "video", "document", "location", "contact")
PAUSE_WORDS: Final = ("/pausar", "/pause")
RESUME_WORDS: Final = ("/retomar", "/resume")


class BotSettings(msgspec.Struct, rename="camel"):
    """What the bot needs of its client's configuration; a change reaches it with the next sign of life."""

    config_version: int = 0
    quiet_seconds: float = 4.0  # a burst ends when the contact has been quiet this long
    burst_seconds: float = 15.0  # … or this long after its first message
    max_age_seconds: float = 6 * 3600.0  # older messages, by the channel's clock, are never answered
    typing_characters_per_second: float = 25.0  # 0: no typing time
    max_typing_seconds: float = 6.0
    answer_groups: bool = False  # where the bot is mentioned or replied to
    muted: bool = False
    language: str = "pt-BR"  # of what the assistant is told about messages without words
    timezone: str = "America/Sao_Paulo"
    answer_kinds: tuple[str, ...] = ANSWERED_KINDS  # kinds of message without words that are answered
    takeover_minutes: float = 60.0  # silence after a person has answered from the phone; 0: none
    pause_words: tuple[str, ...] = PAUSE_WORDS  # written from the phone into a chat
    resume_words: tuple[str, ...] = RESUME_WORDS
    night_from: str = ""  # HH:MM; nothing is answered from then on …
    night_until: str = ""  # … until then; empty: at any time
    loop_turns: int = 20  # answers to one contact in ten minutes, after which it is taken for a machine
    new_chats_per_day: int = 50  # that the API may open
    warm_up_days: int = 14  # in which a newly linked number works up to that
    send_pause_seconds: float = 2.0  # between messages that the API sends
    fleet_numbers: list[str] = []  # numbers and LIDs of this fleet's own bots: never answered
    restored_id: str = ""  # the last restore of the database or of this client; a new one begins a resync
    restored_since: float = 0.0  # Unix time of the moment that was restored
