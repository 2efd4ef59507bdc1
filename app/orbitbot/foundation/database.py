"""PostgreSQL: a pool per worker, and transactions that see one client's rows only.

Row-level security is forced on every table that holds a client's data. Its setting
(`orbitbot.client_id`) is local to one transaction; where it is unset, no row is visible.
"""

import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from orbitbot.foundation.errors import Unavailable
from orbitbot.foundation.settings import DatabaseSettings, read_secret

CONNECT_TIMEOUT: Final = 3  # seconds
CHECKOUT_TIMEOUT: Final = 5.0  # seconds to wait for a free connection
STATEMENT_TIMEOUT: Final = 15_000  # milliseconds
RETRY_AFTER: Final = 2.0  # seconds, told to callers while the database is away

Connection = AsyncConnection[TupleRow]

_SET_CLIENT = "SELECT set_config('orbitbot.client_id', %s, true)"


def conninfo(settings: DatabaseSettings, application: str) -> str:
    """The libpq connection string of one service's role (holds the password: never log it)."""
    tls = {"sslmode": "verify-full", "sslrootcert": settings.tls_ca_file} if settings.tls_ca_file else {}
    return make_conninfo(
        **tls,
        host=settings.host,
        port=settings.port,
        dbname=settings.name,
        user=settings.user,
        password=read_secret(settings.password_file),
        application_name=f"orbitbot-{application}",
        connect_timeout=CONNECT_TIMEOUT,
        options=f"-c statement_timeout={STATEMENT_TIMEOUT} -c timezone=UTC",
    )


class Database:
    """A connection pool of one database role.

    Args:
        trusted_seconds: for which a connection that was seen alive is not asked again before it is used: a
            round trip less, and a failed call more when the database restarts.

    Every error that means "not reachable now" surfaces as `Unavailable`, so that callers answer 503
    and are asked again.
    """

    def __init__(self, settings: DatabaseSettings, application: str, trusted_seconds: float = 0.0) -> None:
        self._trusted_seconds = trusted_seconds
        self._checked: dict[int, float] = {}  # connection → when it was last seen alive
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo(settings, application),
            min_size=1,
            max_size=settings.pool_size,
            timeout=CHECKOUT_TIMEOUT,
            max_idle=300.0,
            reconnect_timeout=0,  # a pool that gives up for minutes would outlive the outage
            check=self._check,
            open=False,
            kwargs={"autocommit": True},  # a single statement is a transaction; `transaction` begins its own
        )

    async def _check(self, connection: Connection) -> None:
        """Ask a connection whether it lives, before it is used."""
        now = time.monotonic()
        if now - self._checked.get(id(connection), -math.inf) < self._trusted_seconds:
            return
        await AsyncConnectionPool.check_connection(connection)
        if len(self._checked) > 4 * self._pool.max_size:
            self._checked.clear()
        self._checked[id(connection)] = now

    async def open(self) -> None:
        """Start the pool; returns at once, also while the database is away."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def client(self, client_id: str) -> AsyncIterator[Connection]:
        """One transaction that sees the rows of `client_id` and no others."""
        async with self.transaction() as connection:
            await connection.execute(_SET_CLIENT, (client_id,))
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction without a client: row-level security shows it only what its role may see.

        Raises:
            Unavailable: the database cannot be reached, is starting up or is shutting down.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise Unavailable("the database cannot be reached", retry_after=RETRY_AFTER) from error

    async def ask(
        self, statement: LiteralString, parameters: Mapping[str, Any] | Sequence[Any]
    ) -> TupleRow | None:
        """The first row of one statement, which is a transaction of its own: a single round trip.

        Row-level security shows it nothing, unless it is a call of a function that sets the client.

        Raises:
            Unavailable: see `transaction`.
        """
        try:
            async with self._pool.connection() as connection:
                return await (await connection.execute(statement, parameters)).fetchone()
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise Unavailable("the database cannot be reached", retry_after=RETRY_AFTER) from error

    async def ping(self) -> None:
        """Run one query.

        Raises:
            Unavailable: see `transaction`.
        """
        async with self.transaction() as connection:
            await connection.execute("SELECT 1")


def scalar(row: TupleRow | None) -> Any:
    """The only column of a row that must be there."""
    if row is None:
        raise LookupError("the query returned no row")
    return row[0]
