"""`POST /api/clients/{clientId}/reports`: what became of messages and answers, told by the bot."""

from typing import Literal

import msgspec

from orbitbot.contracts.messages import MessageType, SilenceReason


class SetAside(msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="setAside"):
    """A message that is never answered, and why. It has no turn."""

    message_id: str
    from_: str = msgspec.field(name="from")
    type: MessageType
    sent_at: float
    journaled_at: float
    reason: SilenceReason
    at: float


class Delivery(msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="delivery"):
    """How far the answer to a turn has got.

    Attributes:
        state: `delivering` (first part handed to the channel), `delivered` or `failed`.
        maybe_repeated: the bot died between sending a part and marking it, on a channel whose send is
            not idempotent: the contact may have got that part twice.
    """

    turn: str
    state: Literal["delivering", "delivered", "failed"]
    at: float
    reason: str = ""
    maybe_repeated: bool = False


class Reports(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A batch, at most 200 at once, in the order in which things happened. Repeating it is harmless."""

    reports: list[SetAside | Delivery]


class ReportsAccepted(msgspec.Struct, rename="camel"):
    """How many reports were stored now or before."""

    accepted: int
