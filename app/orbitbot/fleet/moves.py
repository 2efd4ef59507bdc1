"""A bot's way from one host to another, step by step, so that it can be interrupted anywhere.

The bot's data are whole at the old host until the move's stage is `copied`, and at the new one from then on.
The generation rises when the old bot is known to be stopped; a move that is begun again goes on where it was.
"""

from typing import Final

from orbitbot.clients import store as client_store
from orbitbot.contracts.fleet import BeginMove, MoveProgress, MoveStage, MoveView
from orbitbot.contracts.lease import Lease
from orbitbot.fleet import placement_store as store
from orbitbot.fleet import store as lease_store
from orbitbot.fleet.headroom import Hosts
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import Conflict, NotFound
from orbitbot.foundation.text import check_strings

KEPT_DAYS: Final = 90  # that a move which has ended is kept


class Moves:
    """Begins, follows and ends moves.

    Args:
        operator_database: of the role that may change clients.
    """

    def __init__(self, operator_database: Database) -> None:
        self._operators = operator_database

    async def begin(self, client_id: str, wanted: BeginMove, *, author: str) -> MoveView:
        """A new move, or the one that is under way.

        Raises:
            NotFound: there is no such client.
            Conflict: the client has no host yet, a move to another host is under way, or there is no room.
        """
        to = wanted.to.name
        async with self._operators.transaction() as connection:
            await store.lock_placement(connection)
            await store.measured(connection, [wanted.to])
            client = await client_store.lock(connection, client_id)
            if client is None or client.state == "removed":
                raise NotFound(f"there is no client {client_id!r}")
            present = await store.move_under_way(connection, client_id)
            if present is not None:
                return await _go_on(connection, present, wanted)
            if not client.host:
                raise Conflict(f"client {client_id!r} belongs on no host yet: playbooks/add-client.yml")
            if client.host == to:
                return MoveView(
                    id=0,
                    client_id=client_id,
                    from_host=to,
                    to_host=to,
                    stage="done",
                    generation=client.generation,
                    channel=client.channel,
                )
            placed = await store.placed(connection)
            draining = [row.name for row in (await store.hosts(connection)).values() if row.draining]
            Hosts([wanted.to], placed, draining).choose(to)
            number = await store.begin_move(
                connection,
                client_id,
                client.host,
                to,
                without_state=wanted.old_host_is_dead,
                author=author,
            )
            view = view_of_move(await _read(connection, client_id, number))
        view.changed = True
        return view

    async def raise_generation(self, client_id: str, number: int) -> MoveView:
        """Give the client to the move's new host, because its bot is stopped at the old one; only once.

        Raises:
            NotFound: there is no such move.
            Conflict: it has ended.
        """
        async with self._operators.transaction() as connection:
            lease = await lease_store.lock_lease(connection, client_id)
            move = await _read(connection, client_id, number)
            if lease is None or move.finished_at is not None:
                raise Conflict(f"move {number} of client {client_id!r} has ended")
            changed = lease.host != move.to_host
            if changed:
                await lease_store.write_lease(
                    connection, client_id, Lease(host=move.to_host, generation=lease.generation + 1)
                )
            view = view_of_move(await _read(connection, client_id, number))
        view.changed = changed
        return view

    async def progress(self, client_id: str, number: int, told: MoveProgress) -> MoveView:
        """Store how far a move has come, or that it turns back.

        Raises:
            NotFound: there is no such move.
            Conflict: it has ended, or has turned back before.
        """
        check_strings(told)
        async with self._operators.transaction() as connection:
            await lease_store.lock_lease(connection, client_id)
            move = await _read(connection, client_id, number)
            if told.turn_back:
                await _turn_back(connection, move, told.reason)
            elif told.stage is not None and told.stage != move.stage:
                if move.finished_at is not None:
                    raise Conflict(f"move {number} of client {client_id!r} has ended")
                # Back where it was, it has not moved: that is how it ends.
                stage = "failed" if told.stage == "done" and move.back_to else told.stage
                await store.advance(connection, number, stage, told.silent_seconds)
                if told.stage == "done":
                    await store.forget_moves(connection, KEPT_DAYS)
            after = await _read(connection, client_id, number)
            view = view_of_move(after)
        view.changed = after != move
        return view


async def _go_on(connection: Connection, present: store.MoveRow, wanted: BeginMove) -> MoveView:
    """The move that was interrupted. One of its hosts may have died meanwhile, which only people know."""
    if wanted.to.name == present.from_host and present.back_to:
        # It was on its way back, and is to go there all the same. The data are whole at that host as long as
        # the stage is `begun`; what has been brought back is to be copied again.
        stage: MoveStage = "copied" if present.stage == "begun" else "begun"
        await store.go_forth(connection, present.id, stage, without_state=wanted.old_host_is_dead)
    elif wanted.to.name == present.from_host:
        # Whoever has not started at the new host has changed nothing there: the old copy is still the whole.
        # That of a dead host is out of reach, and the old one the best there is.
        whole = present.stage != "starting" or wanted.old_host_is_dead
        reason = f"it was called back to {wanted.to.name}"
        await store.turn_back(connection, present.id, "copied" if whole else "begun", reason)
        if wanted.old_host_is_dead:
            await store.without_state(connection, present.id)
    elif wanted.to.name not in (present.to_host, present.from_host):
        raise Conflict(
            f"client {present.client_id!r} is on its way from {present.from_host} to {present.to_host}:"
            f" finish that first, with to={present.to_host}"
        )
    elif wanted.old_host_is_dead:
        await store.without_state(connection, present.id)
    return view_of_move(await _read(connection, present.client_id, present.id))


async def _turn_back(connection: Connection, move: store.MoveRow, reason: str) -> None:
    if move.finished_at is not None:
        raise Conflict(f"move {move.id} of client {move.client_id!r} has ended")
    if move.back_to:
        raise Conflict(f"move {move.id} of client {move.client_id!r} has turned back already")
    if move.without_state:
        raise Conflict(f"{move.from_host} is dead: client {move.client_id!r} cannot go back there")
    # Whoever has not started at the new host has changed nothing there: the old copy is still the whole.
    await store.turn_back(connection, move.id, "begun" if move.stage == "starting" else "copied", reason)


async def _read(connection: Connection, client_id: str, number: int) -> store.MoveRow:
    move = await store.move(connection, client_id, number)
    if move is None:
        raise NotFound(f"client {client_id!r} has no move {number}")
    return move


def view_of_move(row: store.MoveRow) -> MoveView:
    """A move as operators see it."""
    return MoveView(
        id=row.id,
        client_id=row.client_id,
        from_host=row.from_host,
        to_host=row.to_host,
        stage=row.stage,
        generation=row.generation,
        channel=row.channel,
        without_state=row.without_state,
        turned_back=bool(row.back_to),
        reason=row.reason,
        silent_seconds=row.silent_seconds,
        author=row.author,
        started_at=row.started_at.isoformat(),
        finished_at=row.finished_at.isoformat() if row.finished_at else None,
    )
