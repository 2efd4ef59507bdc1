"""What is kept of one contact, and that it is gone: a person's rights under LGPD and GDPR.

GET    /api/clients/{clientId}/contacts/{contact}          everything that is kept of a contact
DELETE /api/clients/{clientId}/contacts/{contact}          erase it
PUT    /api/clients/{clientId}/contacts/{contact}/facts    what the business notes about a contact
PUT    /api/clients/{clientId}/contacts/{contact}/pause    the assistant is silent in this chat
DELETE /api/clients/{clientId}/contacts/{contact}/pause    … and answers again
"""

from typing import Annotated, Any

import msgspec


class Facts(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Short sentences that the assistant knows when it answers this contact; an empty list forgets them."""

    facts: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=300)]], msgspec.Meta(max_length=20)
    ]


class PauseRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """For how long; null: until somebody resumes the chat."""

    minutes: Annotated[float, msgspec.Meta(gt=0, le=525_600)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=500)] = "a person has taken over"


class Pause(msgspec.Struct, rename="camel"):
    """A chat in which the assistant is silent. Times are RFC 3339."""

    contact: str
    reason: str
    author: str
    since: str
    until: str | None


class PauseList(msgspec.Struct, rename="camel"):
    """The chats that are paused at the moment, the latest first."""

    pauses: list[Pause]


class ContactData(msgspec.Struct, rename="camel"):
    """Everything that is kept of a contact, as rows of the tables it is kept in."""

    client_id: str
    contact: str
    turns: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    exchanges: list[dict[str, Any]]
    facts: list[str]
    summary: str | None
    pause: Pause | None
    events: list[dict[str, Any]]
    sends: list[dict[str, Any]]


class Erased(msgspec.Struct, rename="camel"):
    """What was erased, and the proof.

    Attributes:
        counts: rows by table that were deleted, or emptied where statistics need them.
        remaining: rows that still name the contact, counted after the fact: 0.
        cached_answers: how many cached answers and transcripts of the client were dropped.
        bot_command: the bot is told by it to forget the contact, too; read it to see that it has.
    """

    erasure_id: str
    counts: dict[str, int]
    remaining: int
    cached_answers: int
    bot_command: int


class ClientEvent(msgspec.Struct, rename="camel"):
    """Something that the client's people should know: `human_asked`, `budget_reached` …"""

    id: int
    kind: str
    contact: str
    data: dict[str, Any]
    at: str


class EventList(msgspec.Struct, rename="camel"):
    """Events after the one asked with, oldest first; `after` is what to ask with next."""

    events: list[ClientEvent]
    after: int


class AdminCommand(msgspec.Struct, rename="camel"):
    """What an admin number has commanded in the chat.

    Attributes:
        contact: the number.
        outcome: `done`, `refused`, `asked` (not confirmed, yet) or `confirmed`.
    """

    turn: str
    contact: str
    command: str
    arguments: str
    outcome: str
    at: str


class AdminCommandList(msgspec.Struct, rename="camel"):
    """The latest commands, the newest first; `before` is what to ask with for older ones, None at the end."""

    commands: list[AdminCommand]
    before: str | None


class SpentOn(msgspec.Struct, rename="camel"):
    """What one model took on one day of the client's time zone."""

    day: str
    model: str
    own_key: bool
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


class Spending(msgspec.Struct, rename="camel"):
    """Money of the last days, newest first.

    Attributes:
        today_usd, month_usd: spent and set aside so far, of the operator's money and the client's own.
    """

    client_id: str
    today_usd: float
    month_usd: float
    lines: list[SpentOn]
