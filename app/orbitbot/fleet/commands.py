"""Telling bots what to do, durably: a command waits for its bot, however long that is away."""

import asyncio
from typing import Final

import msgspec

from orbitbot.contracts.commands import CommandResult, Commands, CommandView, ForgetContact, Order
from orbitbot.fleet import store
from orbitbot.fleet.models import StoredCommand
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import NotFound
from orbitbot.foundation.live import EVERYBODY, Live
from orbitbot.foundation.text import check_strings

LONGEST_WAIT: Final = 25.0  # seconds that a bot's request is held
KEEP: Final = 30 * 86_400.0  # seconds that a finished command can be read
MAX_KEY: Final = 200  # characters of an idempotency key
_DETAIL_LIMIT: Final = 1000  # characters
_HEARD_OF: Final = 90.0  # seconds; a bot that starts later fetches its settings anyway
# Seconds after which a command is not carried out any more: nobody waits for a code for a day, and a restart
# that was asked for an hour ago has been overtaken.
_LIFETIMES: Final[dict[str, float]] = {
    "pair": 900.0,
    "phone_code": 300.0,
    "restart": 3600.0,
    "log_out": 7 * 86_400.0,
    "refresh_settings": 3600.0,
    "forget_contact": 90 * 86_400.0,
    "send_message": 86_400.0,
}
_EACH_COUNTS: Final = frozenset(
    {"forget_contact", "send_message"}
)  # a newer one does not take the place of an older one


class CommandService:
    """Gives commands, hands them to bots, and takes their word of what became of them."""

    def __init__(self, database: Database, live: Live) -> None:
        self._database = database
        self._live = live

    async def give(self, client_id: str, order: Order, *, author: str, key: str | None = None) -> CommandView:
        """Store a command. It takes the place of earlier ones of its kind that no bot has carried out.

        Args:
            key: the caller's idempotency key; the same key gives the same command.

        Raises:
            InvalidInput: the key is too long or holds NUL bytes.
            NotFound: there is no such client.
        """
        if key is not None:
            check_strings(key, field="Idempotency-Key", limit=MAX_KEY)
        async with self._database.client(client_id) as connection:
            if not await store.client_exists(connection, client_id):
                raise NotFound(f"there is no client {client_id!r}")
            await store.lock_commands(connection, client_id)
            if key is not None and (known := await store.read_by_key(connection, client_id, key)):
                return known.view()
            stored = await _insert(connection, client_id, order, author=author, key=key)
        await self._live.signal(client_id)
        return stored.view()

    async def forget_contact(
        self, connection: Connection, client_id: str, contact: str, *, author: str
    ) -> int:
        """Give the command within the caller's transaction, of an erasure; `wake` the bot afterwards."""
        await store.lock_commands(connection, client_id)
        return (await _insert(connection, client_id, ForgetContact(contact), author=author, key=None)).id

    async def wake(self, client_id: str) -> None:
        """Tell the bot's waiting request that there is something."""
        await self._live.signal(client_id)

    async def follow(self, client_id: str, seconds: float) -> Commands:
        """What waits for the bot; if nothing does, what comes within `seconds`."""
        with self._live.watch(client_id) as watch:
            deadline = _now() + seconds
            while True:
                waiting = await self._pending(client_id)
                left = deadline - _now()
                if waiting or left <= 0 or self._live.closing:
                    return Commands([each.for_bot() for each in waiting])
                await watch.wait(left)

    async def finish(self, client_id: str, command_id: int, result: CommandResult) -> None:
        """Take a bot's word of what became of a command. Harmless when repeated.

        Raises:
            InvalidInput: the detail is too long or holds NUL bytes.
            NotFound: the client has no such command.
        """
        check_strings(result, limit=_DETAIL_LIMIT)
        async with self._database.client(client_id) as connection:
            if await store.read(connection, client_id, command_id) is None:
                raise NotFound(f"client {client_id!r} has no command {command_id}")
            await store.finish(connection, client_id, command_id, result)
        await self._live.signal(client_id)

    async def read(self, client_id: str, command_id: int) -> CommandView:
        """One command.

        Raises:
            NotFound: the client has no such command.
        """
        async with self._database.client(client_id) as connection:
            stored = await store.read(connection, client_id, command_id)
        if stored is None:
            raise NotFound(f"client {client_id!r} has no command {command_id}")
        return stored.view()

    async def waiting_kinds(self, client_id: str) -> set[str]:
        """The kinds of the commands that the bot has not carried out."""
        return {each.kind for each in await self._pending(client_id)}

    async def _pending(self, client_id: str) -> list[StoredCommand]:
        async with self._database.client(client_id) as connection:
            return await store.pending(connection, client_id)


class OrdersToAll:
    """Gives one command to every bot at once.

    Args:
        operator_database: of the role that sees every client.
    """

    def __init__(self, operator_database: Database, live: Live) -> None:
        self._operators = operator_database
        self._live = live

    async def give(self, order: Order, *, author: str) -> int:
        """Give a command to every bot that was heard of lately, all in one step; returns to how many."""
        body: dict[str, object] = msgspec.to_builtins(order)
        kind = str(body["kind"])
        async with self._operators.transaction() as connection:
            given = await store.insert_for_all(
                connection, body, author=author, seconds=_LIFETIMES[kind], heard_of_seconds=_HEARD_OF
            )
        await self._live.signal(EVERYBODY)
        return given


class CommandCounts:
    """Counts commands of all clients.

    Args:
        operator_database: of the role that sees every client.
    """

    def __init__(self, operator_database: Database) -> None:
        self._operators = operator_database

    async def read(self) -> list[tuple[str, str, int]]:
        """Kind, state and number of commands."""
        async with self._operators.transaction() as connection:
            return await store.counts(connection)


async def _insert(
    connection: Connection, client_id: str, order: Order, *, author: str, key: str | None
) -> StoredCommand:
    body: dict[str, object] = msgspec.to_builtins(order)
    kind = str(body["kind"])
    await store.tidy(connection, client_id, KEEP)
    if kind not in _EACH_COUNTS:
        await store.replace(connection, client_id, kind)
    return await store.insert(connection, client_id, body, author=author, key=key, seconds=_LIFETIMES[kind])


def _now() -> float:
    return asyncio.get_running_loop().time()
