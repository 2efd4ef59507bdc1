"""What the AI service works with: the client's profile, the exchanges, the question and the answer."""

from datetime import datetime

import msgspec

from orbitbot.contracts.chat import AnswerSource
from orbitbot.contracts.configure import ClientSettings

Source = AnswerSource


class Profile(msgspec.Struct, frozen=True):
    """What is known of a client when a question of one of its contacts is answered.

    Attributes:
        revision: changes with every stored change of the configuration.
        language: BCP 47.
        timezone: IANA.
        sealed_key: its own provider key, encrypted; None for the operator's.
    """

    client_id: str
    revision: str
    name: str
    language: str
    timezone: str
    personality: str
    settings: ClientSettings
    sealed_key: bytes | None = None


class PastExchange(msgspec.Struct, frozen=True):
    """One earlier question of a contact, and its answer."""

    question: str
    answer: str
    at: datetime | None = None


class Memory(msgspec.Struct, frozen=True):
    """What is remembered of a contact.

    Attributes:
        history: exchanges that are in no summary, newest first, not yet cut to a budget.
        summary: of what was said before them.
        facts: what the client's people have noted.
        paused: why a person has this chat; empty if nobody has.
    """

    history: tuple[PastExchange, ...] = ()
    summary: str = ""
    facts: tuple[str, ...] = ()
    paused: str = ""


class Question(msgspec.Struct, frozen=True):
    """Everything that a provider may use to answer.

    Attributes:
        message: what the contact wrote or said.
        spoken: (part of) the message was transcribed from voice notes.
        now: what the plugins say about this moment.
    """

    profile: Profile
    message: str
    spoken: bool = False
    memory: Memory = Memory()
    now: tuple[str, ...] = ()
    turn: str = ""
    contact: str = ""


class Answer(msgspec.Struct, frozen=True):
    """An answer and what it took; see `contracts.chat.ChatResponse` for the fields."""

    text: str
    model: str
    source: Source
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    provider_ms: float = 0.0
    silenced: str = ""


class Exchange(msgspec.Struct, frozen=True):
    """Both sides of one answered turn, as stored."""

    turn: str
    contact: str
    question: str
    answer: Answer
