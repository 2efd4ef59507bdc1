"""`why`: the story of one message, put together from the ledger."""

from datetime import datetime
from typing import Literal

from orbitbot.contracts.messages import TurnState
from orbitbot.contracts.why import Stage, Story
from orbitbot.conversations import store
from orbitbot.conversations.models import MessageRow, Turn
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import NotFound

Writer = Literal["channel", "bot", "gateway"]


async def read_story(database: Database, client_id: str, message_id: str) -> Story:
    """The story of one client's message, or of all of a turn when the id is a turn's.

    Raises:
        NotFound: the ledger of this client has neither.
    """
    async with database.client(client_id) as connection:
        stories = await _find(connection, message_id, client_id)
    if not stories:
        raise NotFound(f"the ledger of client {client_id!r} has no message or turn {message_id!r}")
    return stories[0]


async def find_stories(database: Database, message_id: str, client_id: str | None) -> list[Story]:
    """The stories of every client's message with this id; `database` is of the operators' role.

    Raises:
        NotFound: no ledger has it.
    """
    async with database.transaction() as connection:
        stories = await _find(connection, message_id, client_id)
    if not stories:
        whose = f"the ledger of client {client_id!r}" if client_id else "the ledger"
        raise NotFound(f"{whose} has no message or turn {message_id!r}")
    return stories


async def _find(connection: Connection, message_id: str, client_id: str | None) -> list[Story]:
    stories = []
    messages = await store.find_messages(connection, message_id, client_id)
    for message in messages:
        if message.turn_id is None:
            stories.append(_set_aside(message))
            continue
        turn = await store.read_turn(connection, message.client_id, message.turn_id)
        if turn is not None:
            members = await store.read_members(connection, turn.client_id, turn.id)
            stories.append(_answered(message, turn, members))
    if stories:
        return stories
    for turn in await store.find_turns(connection, message_id, client_id):
        members = await store.read_members(connection, turn.client_id, turn.id)
        if members:
            stories.append(_answered(members[0], turn, members))
    return stories


def _set_aside(message: MessageRow) -> Story:
    return Story(
        client_id=message.client_id,
        message_id=message.id,
        type=message.type,
        contact=message.contact,
        state="silenced",
        reason=message.silenced_reason or "",
        messages=[message.id],
        stages=_stages(
            ("sent", message.sent_at, "channel"),
            ("journaled", message.journaled_at, "bot"),
            ("silenced", message.silenced_at, "bot"),
        ),
    )


def _answered(message: MessageRow, turn: Turn, members: list[MessageRow]) -> Story:
    answer = turn.as_answer()
    decided: Writer = "bot" if turn.answered_at else "gateway"
    last: TurnState = turn.state if turn.finished_at else "delivered"
    return Story(
        client_id=turn.client_id,
        message_id=message.id,
        type=message.type,
        contact=turn.contact,
        state=turn.state,
        reason=turn.reason,
        turn=turn.id,
        messages=[member.id for member in members],
        message=turn.message,
        transcription=answer.transcription,
        response=turn.response,
        model=turn.model,
        source=turn.source,
        attempts=turn.attempts,
        maybe_repeated=turn.maybe_repeated,
        interrupted=answer.interrupted,
        timings=turn.timings,
        stages=_stages(
            ("sent", message.sent_at, "channel"),
            ("journaled", message.journaled_at, "bot" if turn.origin == "bot" else "gateway"),
            ("received", turn.received_at, "gateway"),
            ("waiting", turn.waiting_since, "gateway"),
            ("transcribed", turn.transcribed_at, "gateway"),
            ("answering", turn.answering_at, "gateway"),
            ("answered", turn.answered_at, "gateway"),
            ("delivering", turn.delivering_at, "bot"),
            (last, turn.finished_at, decided),
        ),
    )


def _stages(*found: tuple[str, datetime | None, Writer]) -> list[Stage]:
    stages: list[Stage] = []
    before: datetime | None = None
    for name, at, by in found:
        if at is None:
            continue
        after = None if before is None else round((at - before).total_seconds() * 1000, 3)
        stages.append(Stage(name=name, at=at.isoformat(), after_ms=after, by=by))
        before = at
    return stages
