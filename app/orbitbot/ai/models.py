"""What the AI service works with: the client's profile, the exchanges, the question and the answer."""

from typing import Literal

import msgspec

from orbitbot.contracts.configure import ClientSettings

Source = Literal["provider", "faq", "no_answer", "not_heard"]


class Profile(msgspec.Struct, frozen=True):
    """What is known of a client when a question of one of its contacts is answered.

    Attributes:
        revision: changes with every stored change of the configuration.
        language: BCP 47.
        timezone: IANA.
    """

    client_id: str
    revision: str
    name: str
    language: str
    timezone: str
    personality: str
    settings: ClientSettings


class PastExchange(msgspec.Struct, frozen=True):
    """One earlier question of a contact, and its answer."""

    question: str
    answer: str


class Question(msgspec.Struct, frozen=True):
    """Everything that a provider may use to answer.

    Attributes:
        message: what the contact wrote or said.
        spoken: (part of) the message was transcribed from voice notes.
        history: earlier exchanges with this contact, newest first, not yet cut to a budget.
        facts: what the plugins say about this moment.
    """

    profile: Profile
    message: str
    spoken: bool = False
    history: tuple[PastExchange, ...] = ()
    facts: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """An answer and what it took; see `contracts.chat.ChatResponse` for the fields."""

    text: str
    model: str
    source: Source
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    provider_ms: float = 0.0


class Exchange(msgspec.Struct, frozen=True):
    """Both sides of one answered turn, as stored."""

    turn: str
    contact: str
    question: str
    answer: Answer
