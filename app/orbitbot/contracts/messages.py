"""`POST /api/clients/{clientId}/messages`: one turn of a contact in, the answer out.

From a bot the body is one *turn*: a contact's burst, merged and journaled before it is posted. An
integrator sends the same without `members`. With voice notes the call is multipart: the part
`payload` holds this JSON, and each file part is named after the `id` of the member it belongs to (or
`audio`, when there are no members).
"""

from typing import Literal

import msgspec

MessageType = Literal["text", "voice"]

# Every state of a turn, and so of its messages. The last three are final.
TurnState = Literal[
    "received", "transcribed", "answering", "answered", "delivering", "delivered", "silenced", "failed"
]
FINAL_STATES: frozenset[TurnState] = frozenset({"delivered", "silenced", "failed"})

# Why a message is on purpose left without an answer.
SilenceReason = Literal[
    "group", "status_broadcast", "own_message", "fleet_number", "too_old", "muted", "human_took_over",
    "out_of_hours", "loop", "quota", "budget",
    "history",        # from before the phone was linked: WhatsApp hands it over afterwards
    "unsupported",    # a kind of message that nobody reads: a sticker, a picture without words, a place …
    "undecryptable",  # could not be read, and was not sent again in time
    "not_answered",   # a kind that this client stores and does not answer: a reaction, a sticker …
    "edited",         # its writer changed it before the answer left: the turn that takes its place has it
    "deleted",        # its writer took it back before the answer left
]  # fmt: skip


class Member(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One message of a turn, as the channel delivered it.

    Attributes:
        id: the channel's message id (WhatsApp's, for WhatsApp).
        type: `text` or `voice`.
        sent_at: Unix time in seconds by the channel's clock.
        journaled_at: Unix time in seconds when the bot's journal had it safe.
        text: the message's text; of a voice note what is told beside what it says: that it is a file with
            sound, what it replies to.
    """

    id: str
    type: MessageType
    sent_at: float
    journaled_at: float
    text: str = ""


class PostMessage(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of the call.

    Attributes:
        message: the text, or the members' texts joined by newlines; empty when there are only voice notes.
        type: `voice` if any member is a voice note.
        from_: the contact: a telephone number in digits, or any channel id without blanks.
        members: the messages merged into this turn, in order; empty when an integrator calls.
        replaces: ids of turns with these messages as they were before they were edited: nobody was answered.
    """

    message: str
    type: MessageType = "text"
    from_: str = msgspec.field(default="", name="from")
    members: list[Member] = []
    replaces: list[str] = []


class Timings(msgspec.Struct, rename="camel", omit_defaults=True):
    """Where the time of a turn went, in milliseconds; None where the stage did not happen."""

    queued: float | None = None  # from the first member's journal entry to the post (quiet time included)
    transcription: float | None = None
    answer: float | None = None  # the AI service, provider included
    provider: float | None = None
    total: float | None = None  # inside the gateway


class MessageAnswer(msgspec.Struct, rename="camel"):
    """The answer (200), or where to wait for it (202, `response` is then empty).

    Attributes:
        response: the text to send to the contact; empty while the turn runs, or when `state` is
            `silenced`.
        turn: the turn's id (the `Idempotency-Key` of the post).
        state: see `TurnState`.
        reason: why, when silenced or failed.
        transcription: what was heard in the voice notes, joined by newlines.
        notice: what to tell the contact meanwhile, once: the turn takes unusually long.
        interrupted: the gateway that ran this turn is gone: post the turn again.
    """

    response: str
    turn: str
    state: TurnState
    reason: str = ""
    transcription: str | None = None
    model: str = ""
    notice: str = ""
    interrupted: bool = False
    timings: Timings = msgspec.field(default_factory=Timings)
