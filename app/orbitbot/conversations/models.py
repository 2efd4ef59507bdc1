"""Turns and messages as the ledger holds them."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from orbitbot.contracts.messages import MessageAnswer, MessageType, Timings, TurnState

Origin = Literal["bot", "api"]

# States in which the gateway still has something to do.
UNANSWERED: Final[frozenset[TurnState]] = frozenset({"received", "transcribed", "answering"})


class LedgerMessage(msgspec.Struct, frozen=True):
    """One message of a turn; times are Unix seconds."""

    id: str
    type: MessageType
    sent_at: float
    journaled_at: float


class NewTurn(msgspec.Struct, frozen=True):
    """A turn as it is posted.

    Attributes:
        fingerprint: SHA-256 of the post, voice notes included.
        messages: at least one.
        state: `received` when voice notes are to be transcribed, else `answering`; `silenced` and
            `failed` are stored as what they are, with `reason`.
        replaces: turns that some of the messages were in before they were changed.
    """

    client_id: str
    id: str
    contact: str
    type: MessageType
    origin: Origin
    fingerprint: bytes
    message: str
    messages: tuple[LedgerMessage, ...]
    state: TurnState
    reason: str = ""
    replaces: tuple[str, ...] = ()


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `turns`.

    Attributes:
        transcription: one line for each voice note, empty where nothing was heard; None before.
        claimed: a gateway worker works on it and has given a sign of life.
        waiting_since: when it was first found that no speech node could take its voice notes.
        notice: what the contact is told while they wait; empty before that takes too long.
    """

    client_id: str
    id: str
    contact: str
    type: MessageType
    origin: Origin
    fingerprint: bytes
    message: str
    transcription: str | None
    state: TurnState
    reason: str
    response: str
    model: str
    source: str
    attempts: int
    maybe_repeated: bool
    claimed: bool
    provider_ms: float
    journaled_at: datetime | None
    received_at: datetime
    transcribed_at: datetime | None
    answering_at: datetime | None
    answered_at: datetime | None
    delivering_at: datetime | None
    finished_at: datetime | None
    waiting_since: datetime | None = None
    notice: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether the gateway has nothing more to do for it."""
        return self.state not in UNANSWERED

    @property
    def timings(self) -> Timings:
        """Where its time went."""
        return Timings(
            queued=_milliseconds(self.journaled_at, self.received_at),
            transcription=_milliseconds(self.received_at, self.transcribed_at),
            answer=_milliseconds(self.answering_at, self.answered_at),
            provider=self.provider_ms if self.answered_at else None,
            total=_milliseconds(self.received_at, self.answered_at),
        )

    def as_answer(self) -> MessageAnswer:
        """The turn as its poster sees it."""
        heard = None
        if self.transcription is not None:
            heard = "\n".join(line for line in self.transcription.split("\n") if line)
        return MessageAnswer(
            response=self.response,
            turn=self.id,
            state=self.state,
            reason=self.reason,
            transcription=heard,
            model=self.model,
            interrupted=not self.is_settled and not self.claimed,
            notice="" if self.is_settled else self.notice,
            timings=self.timings,
        )


class MessageRow(msgspec.Struct, frozen=True):
    """A row of `messages`."""

    client_id: str
    id: str
    turn_id: str | None
    contact: str
    type: MessageType
    sent_at: datetime
    journaled_at: datetime
    silenced_reason: str | None
    silenced_at: datetime | None


class Answer(msgspec.Struct, frozen=True):
    """What the AI service said, as the ledger keeps it."""

    response: str
    model: str
    source: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    provider_ms: float


def _milliseconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return round((end - start).total_seconds() * 1000, 3)
