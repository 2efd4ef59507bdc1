"""`/api/clients` and `/api/clients/{clientId}`: registering, reading and removing a client."""

from typing import Literal

import msgspec

from orbitbot.contracts.bot import BotState
from orbitbot.contracts.configure import ClientSettings

ChannelKind = Literal["simulator", "neonize", "cloud"]
ClientState = Literal["active", "paused", "removed"]
CredentialKind = Literal["bot", "integrator"]


class RegisterClient(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`PUT /api/clients/{clientId}` (operators): registers, or changes what differs."""

    channel: ChannelKind = "neonize"
    name: str = ""  # what people read; the id where empty
    language: str = "pt"  # BCP 47
    timezone: str = "America/Sao_Paulo"  # IANA


class NumberHealth(msgspec.Struct, rename="camel"):
    """`GET /api/clients/{clientId}/health`: how a client's number does. Times are RFC 3339.

    Attributes:
        phone_seen_at: the linked phone's last sign of life; after two silent weeks WhatsApp drops the link.
        restricted_until: when a restriction of WhatsApp's is expected to end.
        new_chats: conversations that the API has opened today, of `new_chats_limit` that it may.
        reconnects: lost connections within a day.
        undelivered: answers and messages that have not left.
        trouble: what is wrong, in a word; empty while all is well.
        advice: one sentence that says what to do, in the client's language; in the list of all clients, in
            English.
    """

    number: str
    phone_seen_at: str | None
    restricted_until: str | None
    new_chats: int
    new_chats_limit: int
    reconnects: int
    undelivered: int
    trouble: str
    advice: str


class ClientView(msgspec.Struct, rename="camel"):
    """A client as operators and its owner see it. Times are RFC 3339.

    Attributes:
        host: that has the lease to run the bot, by its name in the inventory; empty: none has.
        generation: of that lease.
        bot_state: `unknown` while there is no sign of life of the bot.
        bot_until: when `restricted` or `banned` is expected to end, where that is known.
        bot_number: of the linked phone, digits only.
        bot_backlog: turns that the bot has not got an answer for.
        bot_warning: what has to be done soon, such as using the phone before WhatsApp drops the link.
        phone_seen_at: the linked phone's own last sign of life, as far as the bot has seen.
        health: of the number; None before the bot's first sign of life.
    """

    id: str
    name: str
    channel: ChannelKind
    state: ClientState
    language: str
    timezone: str
    config_version: int
    created_at: str
    host: str = ""
    generation: int = 0
    bot_state: BotState | Literal["unknown"] = "unknown"
    bot_reason: str = ""
    bot_release: str = ""
    bot_seen_at: str | None = None
    bot_state_since: str | None = None
    bot_until: str | None = None
    bot_number: str = ""
    bot_backlog: int = 0
    bot_warning: str = ""
    phone_seen_at: str | None = None
    health: NumberHealth | None = None
    changed: bool = False  # in answers to PUT and DELETE: whether this call changed anything
    personality: str | None = None  # these two in the answer to GET of one client, but not to its bot
    settings: ClientSettings | None = None


class ClientList(msgspec.Struct, rename="camel"):
    """All clients that the caller may see, by id."""

    clients: list[ClientView]


class CreateCredential(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`POST /api/clients/{clientId}/credentials` (operators). Earlier ones of the kind stay valid
    unless `revoke_earlier`."""

    kind: CredentialKind
    revoke_earlier: bool = False


class CredentialCreated(msgspec.Struct, rename="camel"):
    """The only time that the secret is shown; the gateway keeps a hash."""

    credential_id: str
    secret: str
