"""The SQL of leases and commands. Every function takes a connection inside a transaction."""

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from orbitbot.contracts.commands import CommandResult
from orbitbot.contracts.lease import Lease
from orbitbot.fleet.models import StoredCommand
from orbitbot.foundation.database import Connection, scalar

_LOCK_LEASE = "SELECT host, generation FROM clients WHERE id = %s AND state <> 'removed' FOR UPDATE"

_WRITE_LEASE = "UPDATE clients SET host = %s, generation = %s, updated_at = now() WHERE id = %s"

_CLIENT_EXISTS = "SELECT EXISTS (SELECT FROM clients WHERE id = %s AND state <> 'removed')"

# Several givers at once: each sees what the one before has given.
_LOCK_COMMANDS = "SELECT pg_advisory_xact_lock(hashtextextended('commands:' || %s, 0))"

_BY_KEY = """
SELECT id, kind, body, state, detail, author, created_at, expires_at, finished_at
FROM commands
WHERE client_id = %s AND idempotency_key = %s
"""

# Whom a finished `forget_contact` was about is forgotten with it.
_EXPIRE = """
UPDATE commands SET state = 'expired', finished_at = clock_timestamp(), body = body - 'contact'
WHERE client_id = %s AND state = 'pending' AND expires_at <= clock_timestamp()
"""

_REPLACE = """
UPDATE commands SET state = 'replaced', finished_at = clock_timestamp()
WHERE client_id = %s AND state = 'pending' AND kind = %s
"""

_FORGET = """
DELETE FROM commands
WHERE client_id = %s AND finished_at < clock_timestamp() - make_interval(secs => %s)
"""

_INSERT = """
INSERT INTO commands (client_id, kind, body, author, idempotency_key, expires_at)
VALUES (%(client_id)s, %(kind)s, %(body)s, %(author)s, %(key)s,
        clock_timestamp() + make_interval(secs => %(seconds)s))
RETURNING id, kind, body, state, detail, author, created_at, expires_at, finished_at
"""

# Those that wait are replaced; a bot that is told twice does it twice, which is harmless.
_INSERT_FOR_ALL = """
WITH running AS (
    SELECT b.client_id FROM bot_status b JOIN clients c ON c.id = b.client_id
    WHERE c.state <> 'removed' AND b.seen_at > now() - make_interval(secs => %(heard_of)s)
), replaced AS (
    UPDATE commands SET state = 'replaced', finished_at = clock_timestamp()
    WHERE state = 'pending' AND kind = %(kind)s
)
INSERT INTO commands (client_id, kind, body, author, expires_at)
SELECT client_id, %(kind)s, %(body)s, %(author)s, clock_timestamp() + make_interval(secs => %(seconds)s)
FROM running
"""

_PENDING = """
SELECT id, kind, body, state, detail, author, created_at, expires_at, finished_at
FROM commands
WHERE client_id = %s AND state = 'pending' AND expires_at > clock_timestamp()
ORDER BY id
LIMIT 100
"""

_READ = """
SELECT id, kind, body, state, detail, author, created_at, expires_at, finished_at
FROM commands
WHERE client_id = %s AND id = %s
"""

_COUNTS = "SELECT kind, state, count(*) FROM commands GROUP BY kind, state ORDER BY kind, state"

_FINISH = """
UPDATE commands
SET state = %(state)s, detail = %(detail)s, finished_at = clock_timestamp(), body = body - 'contact'
WHERE client_id = %(client_id)s AND id = %(id)s AND state IN ('pending', 'expired', 'replaced')
"""


async def lock_lease(connection: Connection, client_id: str) -> Lease | None:
    """The present lease, which nobody else changes until this transaction ends (operators)."""
    row = await (await connection.execute(_LOCK_LEASE, (client_id,))).fetchone()
    return None if row is None else Lease(host=row[0], generation=row[1])


async def write_lease(connection: Connection, client_id: str, lease: Lease) -> None:
    """Make `lease` the present one (operators)."""
    await connection.execute(_WRITE_LEASE, (lease.host, lease.generation, client_id))


async def client_exists(connection: Connection, client_id: str) -> bool:
    """Whether there is such a client, not removed."""
    return bool(scalar(await (await connection.execute(_CLIENT_EXISTS, (client_id,))).fetchone()))


async def lock_commands(connection: Connection, client_id: str) -> None:
    """Be the only one who gives this client commands until this transaction ends."""
    await connection.execute(_LOCK_COMMANDS, (client_id,))


async def read_by_key(connection: Connection, client_id: str, key: str) -> StoredCommand | None:
    """The command that was given with this idempotency key, or None."""
    async with connection.cursor(row_factory=class_row(StoredCommand)) as cursor:
        await cursor.execute(_BY_KEY, (client_id, key))
        return await cursor.fetchone()


async def tidy(connection: Connection, client_id: str, keep_seconds: float) -> None:
    """Mark what has expired, and delete what was finished longer than `keep_seconds` ago."""
    await connection.execute(_EXPIRE, (client_id,))
    await connection.execute(_FORGET, (client_id, keep_seconds))


async def replace(connection: Connection, client_id: str, kind: str) -> None:
    """Set aside the pending commands of a kind, because a newer one takes their place."""
    await connection.execute(_REPLACE, (client_id, kind))


async def insert(
    connection: Connection,
    client_id: str,
    body: dict[str, object],
    *,
    author: str,
    key: str | None,
    seconds: float,
) -> StoredCommand:
    """Store a command that expires in `seconds`."""
    fields = {
        "client_id": client_id,
        "kind": body["kind"],
        "body": Jsonb(body),
        "author": author,
        "key": key,
        "seconds": seconds,
    }
    async with connection.cursor(row_factory=class_row(StoredCommand)) as cursor:
        await cursor.execute(_INSERT, fields)
        stored = await cursor.fetchone()
    if stored is None:
        raise LookupError("the new command was not returned")
    return stored


async def insert_for_all(
    connection: Connection,
    body: dict[str, object],
    *,
    author: str,
    seconds: float,
    heard_of_seconds: float,
) -> int:
    """Store a command for every bot heard of within `heard_of_seconds` (operators); returns how many."""
    fields = {
        "kind": body["kind"],
        "body": Jsonb(body),
        "author": author,
        "seconds": seconds,
        "heard_of": heard_of_seconds,
    }
    return (await connection.execute(_INSERT_FOR_ALL, fields)).rowcount


async def pending(connection: Connection, client_id: str) -> list[StoredCommand]:
    """What waits for the bot, oldest first; at most 100."""
    async with connection.cursor(row_factory=class_row(StoredCommand)) as cursor:
        await cursor.execute(_PENDING, (client_id,))
        return await cursor.fetchall()


async def read(connection: Connection, client_id: str, command_id: int) -> StoredCommand | None:
    """One command, or None."""
    async with connection.cursor(row_factory=class_row(StoredCommand)) as cursor:
        await cursor.execute(_READ, (client_id, command_id))
        return await cursor.fetchone()


async def counts(connection: Connection) -> list[tuple[str, str, int]]:
    """Kind, state and number of the commands of all clients (operators)."""
    return await (await connection.execute(_COUNTS)).fetchall()


async def finish(connection: Connection, client_id: str, command_id: int, result: CommandResult) -> None:
    """Write what became of a command. The first word counts; a late one corrects `expired` or `replaced`."""
    fields = {
        "client_id": client_id,
        "id": command_id,
        "state": result.state,
        "detail": result.detail,
    }
    await connection.execute(_FINISH, fields)
