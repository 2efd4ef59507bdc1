"""The SQL of hosts, placements and moves. Every function needs the operators' role, inside a transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from orbitbot.contracts.clients import ChannelKind
from orbitbot.contracts.fleet import HostMeasure, MeasuredHost, MoveStage
from orbitbot.foundation.database import Connection

# Two runs that place at once would both find the last room.
_LOCK_PLACEMENT = "SELECT pg_advisory_xact_lock(hashtextextended('placement', 0))"

_MEASURED = """
INSERT INTO hosts (name, measure, measured_at) VALUES (%s, %s, now())
ON CONFLICT (name) DO UPDATE SET measure = EXCLUDED.measure, measured_at = EXCLUDED.measured_at
"""

_DRAIN = """
INSERT INTO hosts (name, draining) VALUES (%(name)s, %(draining)s)
ON CONFLICT (name) DO UPDATE SET draining = EXCLUDED.draining
WHERE hosts.draining <> EXCLUDED.draining
"""

_FORGET_HOST = """
DELETE FROM hosts WHERE name = %(name)s
  AND NOT EXISTS (SELECT FROM clients WHERE host = %(name)s AND state <> 'removed')
"""

_HOSTS = "SELECT name, measure, measured_at, draining FROM hosts ORDER BY name"

_PLACED = "SELECT host, count(*) FROM clients WHERE state <> 'removed' AND host <> '' GROUP BY host"

_PLACE = """
UPDATE clients SET host = %(host)s, generation = generation + 1, updated_at = now()
WHERE id = %(id)s
RETURNING generation
"""

_MOVE_COLUMNS = """
SELECT m.id, m.client_id, m.from_host, m.to_host, m.stage, m.without_state, m.back_to, m.reason,
       m.silent_seconds, m.author, m.started_at, m.finished_at, c.generation, c.channel
FROM moves m JOIN clients c ON c.id = m.client_id
"""

_MOVE_UNDER_WAY = f"{_MOVE_COLUMNS} WHERE m.client_id = %s AND m.finished_at IS NULL"

_MOVE = f"{_MOVE_COLUMNS} WHERE m.client_id = %s AND m.id = %s"

_LAST_MOVES = f"{_MOVE_COLUMNS} ORDER BY m.id DESC LIMIT %s"

_MOVES_UNDER_WAY = f"{_MOVE_COLUMNS} WHERE m.finished_at IS NULL"

_BEGIN = """
INSERT INTO moves (client_id, from_host, to_host, without_state, author)
VALUES (%s, %s, %s, %s, %s)
RETURNING id
"""

_ADVANCE = """
UPDATE moves
SET stage = %(stage)s, silent_seconds = coalesce(%(silent)s, silent_seconds),
    finished_at = CASE WHEN %(stage)s IN ('done', 'failed') THEN clock_timestamp() END
WHERE id = %(id)s
"""

_TURN_BACK = """
UPDATE moves
SET from_host = to_host, to_host = from_host, back_to = from_host, reason = %(reason)s, stage = %(stage)s
WHERE id = %(id)s
"""

_GO_FORTH = """
UPDATE moves
SET from_host = to_host, to_host = from_host, back_to = '', reason = '', stage = %(stage)s,
    without_state = %(without_state)s
WHERE id = %(id)s
"""

_FORGET_MOVES = """
DELETE FROM moves
WHERE started_at < clock_timestamp() - make_interval(days => %(days)s)
  AND finished_at < clock_timestamp() - make_interval(days => %(days)s)
"""

_WITHOUT_STATE = "UPDATE moves SET without_state = true WHERE id = %s"

_BOT_GENERATIONS = "SELECT client_id, generation FROM bot_status"

_IN_FORCE = """
SELECT client_id, id FROM credentials WHERE client_id = ANY(%s) AND kind = 'bot' AND revoked_at IS NULL
"""

_SHARED = "SELECT version, personality, settings FROM shared_configurations ORDER BY version DESC LIMIT 1"

_LOCK_SHARED = "SELECT pg_advisory_xact_lock(hashtextextended('shared configuration', 0))"

_SHARE = """
INSERT INTO shared_configurations (version, personality, settings, author) VALUES (%s, %s, %s, %s)
"""

_SET_STATE = """
UPDATE clients SET state = %(state)s, updated_at = now()
WHERE id = %(id)s AND state <> %(state)s AND state <> 'removed'
"""


class HostRow(msgspec.Struct, frozen=True):
    """A row of `hosts`."""

    name: str
    measure: dict[str, Any]
    measured_at: datetime | None
    draining: bool

    def measured(self) -> HostMeasure | None:
        """The last measure."""
        return msgspec.convert(self.measure, HostMeasure) if self.measure else None


class MoveRow(msgspec.Struct, frozen=True):
    """A row of `moves`, with what is known of its client."""

    id: int
    client_id: str
    from_host: str
    to_host: str
    stage: MoveStage
    without_state: bool
    back_to: str
    reason: str
    silent_seconds: float | None
    author: str
    started_at: datetime
    finished_at: datetime | None
    generation: int
    channel: ChannelKind


async def lock_placement(connection: Connection) -> None:
    """Be the only one who gives hosts away until this transaction ends."""
    await connection.execute(_LOCK_PLACEMENT)


async def measured(connection: Connection, hosts: Sequence[MeasuredHost]) -> None:
    """Keep the last measure of each host."""
    for host in hosts:
        await connection.execute(_MEASURED, (host.name, Jsonb(msgspec.to_builtins(host.measure))))


async def drain(connection: Connection, name: str, *, draining: bool) -> bool:
    """Set whether a host is being drained; returns whether it was not so before."""
    done = await connection.execute(_DRAIN, {"name": name, "draining": draining})
    return bool(done.rowcount)


async def forget_host(connection: Connection, name: str) -> bool:
    """Delete a host that no client belongs to; returns whether it was there."""
    return bool((await connection.execute(_FORGET_HOST, {"name": name})).rowcount)


async def hosts(connection: Connection) -> dict[str, HostRow]:
    """Name → host."""
    async with connection.cursor(row_factory=class_row(HostRow)) as cursor:
        await cursor.execute(_HOSTS)
        return {row.name: row for row in await cursor.fetchall()}


async def placed(connection: Connection) -> dict[str, int]:
    """Host → clients that belong there."""
    return dict(await (await connection.execute(_PLACED)).fetchall())


async def place(connection: Connection, client_id: str, host: str) -> int:
    """Give a client's lease to a host; returns the new generation."""
    row = await (await connection.execute(_PLACE, {"id": client_id, "host": host})).fetchone()
    if row is None:
        raise LookupError(f"client {client_id!r} went away")
    return int(row[0])


async def move_under_way(connection: Connection, client_id: str) -> MoveRow | None:
    """The move of a client that has not ended, or None."""
    async with connection.cursor(row_factory=class_row(MoveRow)) as cursor:
        await cursor.execute(_MOVE_UNDER_WAY, (client_id,))
        return await cursor.fetchone()


async def move(connection: Connection, client_id: str, number: int) -> MoveRow | None:
    """One move, or None."""
    async with connection.cursor(row_factory=class_row(MoveRow)) as cursor:
        await cursor.execute(_MOVE, (client_id, number))
        return await cursor.fetchone()


async def last_moves(connection: Connection, count: int) -> list[MoveRow]:
    """The last moves, newest first, and every one that has not ended, whatever came after it."""
    async with connection.cursor(row_factory=class_row(MoveRow)) as cursor:
        await cursor.execute(_LAST_MOVES, (count,))
        found = {row.id: row for row in await cursor.fetchall()}
        await cursor.execute(_MOVES_UNDER_WAY)
        found |= {row.id: row for row in await cursor.fetchall()}
    return sorted(found.values(), key=lambda row: row.id, reverse=True)


async def begin_move(
    connection: Connection, client_id: str, from_host: str, to_host: str, *, without_state: bool, author: str
) -> int:
    """Store a new move; returns its id."""
    values = (client_id, from_host, to_host, without_state, author)
    row = await (await connection.execute(_BEGIN, values)).fetchone()
    if row is None:
        raise LookupError("the new move was not returned")
    return int(row[0])


async def advance(
    connection: Connection, number: int, stage: MoveStage, silent_seconds: float | None = None
) -> None:
    """Store how far a move has come."""
    await connection.execute(_ADVANCE, {"id": number, "stage": stage, "silent": silent_seconds})


async def turn_back(connection: Connection, number: int, stage: MoveStage, reason: str) -> None:
    """Swap the two hosts of a move."""
    await connection.execute(_TURN_BACK, {"id": number, "stage": stage, "reason": reason})


async def go_forth(connection: Connection, number: int, stage: MoveStage, *, without_state: bool) -> None:
    """Swap the two hosts of a move that had turned back: it goes where it was to go at first."""
    values = {"id": number, "stage": stage, "without_state": without_state}
    await connection.execute(_GO_FORTH, values)


async def forget_moves(connection: Connection, days: int) -> None:
    """Delete the moves that ended more than so many days ago."""
    await connection.execute(_FORGET_MOVES, {"days": days})


async def without_state(connection: Connection, number: int) -> None:
    """The old host of a move is dead."""
    await connection.execute(_WITHOUT_STATE, (number,))


async def bot_generations(connection: Connection) -> dict[str, int]:
    """Client id → generation that its bot last showed."""
    return dict(await (await connection.execute(_BOT_GENERATIONS)).fetchall())


async def credentials_in_force(connection: Connection, client_ids: Sequence[str]) -> set[tuple[str, str]]:
    """Client and credential id of what bots may log in with."""
    rows = await (await connection.execute(_IN_FORCE, (list(client_ids),))).fetchall()
    return {(row[0], row[1]) for row in rows}


async def shared(connection: Connection, *, lock: bool = False) -> tuple[int, str, dict[str, Any]]:
    """Version, personality and settings that all clients share; version 0 if there are none."""
    if lock:
        await connection.execute(_LOCK_SHARED)
    row = await (await connection.execute(_SHARED)).fetchone()
    return row if row is not None else (0, "", {})


async def share(
    connection: Connection, version: int, personality: str, settings: dict[str, Any], author: str
) -> None:
    """Store a new version of what all clients share."""
    await connection.execute(_SHARE, (version, personality, Jsonb(settings), author))


async def set_state(connection: Connection, client_id: str, state: str) -> bool:
    """Pause a client or let it go on; returns whether that is new."""
    return bool((await connection.execute(_SET_STATE, {"id": client_id, "state": state})).rowcount)
