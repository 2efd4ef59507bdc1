"""What the gateway and the AI service know of a client."""

from datetime import datetime

import msgspec

from orbitbot.contracts.bot import BotState
from orbitbot.contracts.clients import ChannelKind, ClientState
from orbitbot.contracts.configure import ClientSettings


class Client(msgspec.Struct, frozen=True):
    """A row of `clients`."""

    id: str
    name: str
    channel: ChannelKind
    state: ClientState
    language: str
    timezone: str
    token_version: int
    config_version: int
    created_at: datetime
    host: str
    generation: int


class BotReport(msgspec.Struct, frozen=True):
    """The last sign of life of a client's bot.

    Attributes:
        silent_seconds: its age.
        phone_silent_seconds: age of the linked phone's own; None where the bot has not seen any.
        backlog: turns that the bot has got no answer for.
    """

    state: BotState
    reason: str
    release: str
    seen_at: datetime
    silent_seconds: float
    state_since: datetime
    until: datetime | None
    number: str
    phone_seen_at: datetime | None
    phone_silent_seconds: float | None
    backlog: int
    reconnects: int
    new_chats: int
    new_chats_limit: int
    undelivered: int


class Configuration(msgspec.Struct, frozen=True):
    """One version of a client's configuration; version 0 is the defaults of a client never configured.

    Attributes:
        chosen: the settings as they were given, without defaults.
    """

    version: int = 0
    personality: str = ""
    chosen: dict[str, object] = {}

    @property
    def settings(self) -> ClientSettings:
        """The settings with this release's defaults for what was not given."""
        return msgspec.convert(self.chosen, ClientSettings)


class Credential(msgspec.Struct, frozen=True):
    """A row of `credentials`, with what its client says of it."""

    id: str
    client_id: str
    kind: str
    secret_hash: str
    revoked: bool
    client_state: ClientState
    token_version: int
    generation: int
