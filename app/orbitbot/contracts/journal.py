"""`POST /api/clients/{clientId}/journal`: what a bot finished since the moment that was restored."""

from typing import Literal

import msgspec

from orbitbot.contracts.messages import Member, MessageType
from orbitbot.contracts.reports import SetAside

MAX_TURNS = 50  # of one excerpt
MAX_FORGOTTEN = 200  # likewise

JournaledState = Literal["answered", "delivering", "delivered", "silenced", "failed"]


class JournaledTurn(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A turn that the gateway had settled. Times are Unix seconds.

    Attributes:
        message: the members' texts.
        response: the answer, its parts put together.
        finished_at: None while the answer is on its way.
    """

    id: str
    contact: str
    type: MessageType
    message: str
    members: list[Member]
    state: JournaledState
    fixed_at: float
    finished_at: float | None = None
    reason: str = ""
    response: str = ""
    maybe_repeated: bool = False


class Forgotten(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """A contact that was erased, by a digest: whoever has the contact knows it again, and nobody else.

    Attributes:
        salt: random, for this one.
        digest: SHA-256 of salt and contact, in hex.
        at: Unix time.
    """

    salt: str
    digest: str
    at: float


class JournalExcerpt(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A part of a bot's journal, oldest first. Repeating it is harmless: what the ledger has, stays.

    Attributes:
        forgotten: contacts that were erased since, and that the restore has brought back.
    """

    turns: list[JournaledTurn] = []
    set_aside: list[SetAside] = []
    forgotten: list[Forgotten] = []


class JournalTaken(msgspec.Struct, rename="camel"):
    """How many turns and messages the ledger did not have, and how many contacts were erased again."""

    added: int
    erased: int = 0
