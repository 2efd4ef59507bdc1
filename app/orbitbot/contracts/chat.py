"""AI `POST /api/chat`: one turn in, one answer out. Repeating a turn returns its stored answer."""

from typing import Literal

import msgspec

from orbitbot.contracts.messages import MessageType


class ChatRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The contract's `{clientId, message, type}`, and what the gateway adds.

    Attributes:
        type: `voice` when (part of) the message was transcribed from voice notes.
        turn: idempotency: the exchange is stored under it. Empty: a one-off question that is
            answered without history and not stored.
        contact: whose conversation it belongs to.
        heard: False for a voice note in which no words were heard; the answer then says so.
    """

    client_id: str
    message: str
    type: MessageType = "text"
    turn: str = ""
    contact: str = ""
    heard: bool = True


class ChatResponse(msgspec.Struct, rename="camel"):
    """The answer and what it took.

    Attributes:
        source: `provider` (a language model), `faq` (the offline provider knew the answer), `no_answer`
            (it did not, and said so) or `not_heard`.
        provider_ms: time spent waiting for the provider, in milliseconds.
    """

    response: str
    model: str
    source: Literal["provider", "faq", "no_answer", "not_heard"]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    provider_ms: float = 0.0
    repeated: bool = False  # the stored answer of an earlier call
