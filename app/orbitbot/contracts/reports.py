"""`POST /api/clients/{clientId}/reports`: what became of messages and answers, told by the bot."""

from typing import Literal

import msgspec

from orbitbot.contracts.messages import MessageType, SilenceReason


class SetAside(msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="setAside"):
    """A message that is never answered, and why. It has no turn.

    Attributes:
        text: what the assistant is to know of it the next time it answers; empty: nothing.
    """

    message_id: str
    from_: str = msgspec.field(name="from")
    type: MessageType
    sent_at: float
    journaled_at: float
    reason: SilenceReason
    at: float
    text: str = ""


class Delivery(msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="delivery"):
    """How far the answer to a turn has got.

    Attributes:
        state: `delivering` (first part handed to the channel), `delivered`, `failed`, or `silenced`: the
            bot stopped before the whole answer had left, because a person took over or a message was changed.
        maybe_repeated: the bot died between sending a part and marking it, on a channel whose send is
            not idempotent: the contact may have got that part twice.
        sent: of a silenced turn: what has left of its answer.
    """

    turn: str
    state: Literal["delivering", "delivered", "failed", "silenced"]
    at: float
    reason: str = ""
    maybe_repeated: bool = False
    sent: str = ""


class Changed(msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="changed"):
    """A message was edited (`new`) or deleted (`new` is empty) after it was answered."""

    message_id: str
    turn: str
    old: str
    new: str
    at: float


class TakenOver(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="takenOver"
):
    """A person answered a contact from the phone: the assistant is silent in this chat for some minutes.

    Attributes:
        message_id: of what the person wrote.
        text: kept as context; empty for a word that only pauses the chat.
        minutes: None: until somebody resumes the chat.
    """

    contact: str
    message_id: str
    text: str
    at: float
    minutes: float | None = None


class Resumed(msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="resumed"):
    """A person handed a chat back from the phone."""

    contact: str
    at: float


class SameContact(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="sameContact"
):
    """`other` (a LID) and `contact` (a phone number) are one person, whose history goes together."""

    contact: str
    other: str
    at: float


class SendOutcome(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="sendOutcome"
):
    """How far a message that the API sends has got.

    Attributes:
        send: its id.
        state: `waiting`: not yet, and `reason` says why.
        message_id: WhatsApp's, once it was sent.
    """

    send: str
    state: Literal["waiting", "sent", "failed"]
    at: float
    reason: str = ""
    message_id: str = ""


class Receipt(msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="receipt"):
    """A contact's phone has messages of the bot's, or the contact has read them."""

    message_ids: list[str]
    state: Literal["delivered", "read"]
    at: float


Report = SetAside | Delivery | Changed | TakenOver | Resumed | SameContact | SendOutcome | Receipt


class Reports(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A batch, at most 200 at once, in the order in which things happened. Repeating it is harmless."""

    reports: list[Report]


class ReportsAccepted(msgspec.Struct, rename="camel"):
    """How many reports were stored now or before."""

    accepted: int
