"""AI `POST /api/chat`: one turn in, one answer out. Repeating a turn returns its stored answer."""

from typing import Literal

import msgspec

from orbitbot.contracts.messages import MessageType, SilenceReason

# Who made the answer: a language model; the client's own FAQ; nobody (it says so); a voice note without
# words; an earlier equal answer; a plugin; the text for an empty budget; the text for when no model can
# be reached; and for a turn that is not answered at all, nobody.
AnswerSource = Literal[
    "provider", "faq", "no_answer", "not_heard", "cache", "plugin", "budget", "get_back", "silenced"
]


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
        source: see `AnswerSource`.
        silenced: why the turn is not to be answered; `response` is empty then.
        provider_ms: time spent waiting for the provider, in milliseconds.
    """

    response: str
    model: str
    source: AnswerSource
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    provider_ms: float = 0.0
    silenced: SilenceReason | Literal[""] = ""
    repeated: bool = False  # the stored answer of an earlier call
