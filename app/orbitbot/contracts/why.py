"""`GET /api/clients/{clientId}/messages/{messageId}/why`: the story of one message, stage by stage."""

from typing import Literal

import msgspec

from orbitbot.contracts.messages import MessageType, SilenceReason, Timings, TurnState


class Stage(msgspec.Struct, rename="camel"):
    """One step of the way.

    Attributes:
        name: `sent` (by the channel's clock), `journaled`, `waiting` (no speech node could take a voice
            note), or a `TurnState`.
        at: RFC 3339.
        after_ms: milliseconds since the stage before; None for the first. Clocks of different hosts
            may make it slightly negative.
        by: who wrote it.
    """

    name: str
    at: str
    after_ms: float | None
    by: Literal["channel", "bot", "gateway"]


class Story(msgspec.Struct, rename="camel"):
    """What became of a message.

    Attributes:
        turn: the turn that it was merged into; empty if it was set aside.
        state: the turn's state, or `silenced` for a message that was set aside.
        messages: ids of all messages of the turn, in order.
        message: what was written; `transcription`: what was heard; `response`: what was answered.
        attempts: how often a gateway began to work on the turn.
        interrupted: no gateway works on it at the moment although it is not answered yet.
    """

    client_id: str
    message_id: str
    type: MessageType
    contact: str
    state: TurnState
    stages: list[Stage]
    turn: str = ""
    reason: SilenceReason | str = ""
    messages: list[str] = []
    message: str = ""
    transcription: str | None = None
    response: str = ""
    model: str = ""
    source: str = ""
    attempts: int = 0
    maybe_repeated: bool = False
    interrupted: bool = False
    timings: Timings = msgspec.field(default_factory=Timings)
