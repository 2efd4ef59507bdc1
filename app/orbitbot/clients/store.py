"""The SQL of clients, their configuration, credentials and bots, and of operators.

Every function takes a connection inside a transaction. On one of `Database.client(...)`, row security
shows that client only; the functions marked "operators" need the operators' database role.
"""

from typing import Any

from psycopg.rows import class_row

from orbitbot.clients.models import BotReport, Client, Configuration, Credential
from orbitbot.contracts.bot import BotStatus
from orbitbot.contracts.clients import RegisterClient
from orbitbot.foundation.database import Connection, scalar

_READ = """
SELECT id, name, channel, state, language, timezone, token_version, config_version, created_at,
       host, generation
FROM clients
WHERE id = %s
"""

_LIST = """
SELECT id, name, channel, state, language, timezone, token_version, config_version, created_at,
       host, generation
FROM clients
ORDER BY id
"""

_LOCK = """
SELECT id, name, channel, state, language, timezone, token_version, config_version, created_at,
       host, generation
FROM clients
WHERE id = %s
FOR UPDATE
"""

_TIMEZONE_EXISTS = "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = %s)"

_INSERT = """
INSERT INTO clients (id, name, channel, language, timezone)
VALUES (%(id)s, %(name)s, %(channel)s, %(language)s, %(timezone)s)
ON CONFLICT (id) DO NOTHING
"""

_UPDATE = """
UPDATE clients
SET name = %(name)s, channel = %(channel)s, language = %(language)s, timezone = %(timezone)s,
    state = CASE state WHEN 'removed' THEN 'active' ELSE state END,
    updated_at = now()
WHERE id = %(id)s
  AND (name, channel, language, timezone) IS DISTINCT FROM
      (%(name)s, %(channel)s, %(language)s, %(timezone)s)
   OR id = %(id)s AND state = 'removed'
"""

_REMOVE = """
UPDATE clients
SET state = 'removed', token_version = token_version + 1, host = '', updated_at = now()
WHERE id = %s AND state <> 'removed'
"""

_REVOKE_ALL = "UPDATE credentials SET revoked_at = now() WHERE client_id = %s AND revoked_at IS NULL"

_REVOKE_KIND = """
UPDATE credentials SET revoked_at = now() WHERE client_id = %s AND kind = %s AND revoked_at IS NULL
"""

_FORGET_BOT = "DELETE FROM bot_status WHERE client_id = %s"

_PURGE = "DELETE FROM clients WHERE id = %s"

_INSERT_CREDENTIAL = """
INSERT INTO credentials (id, client_id, kind, secret_hash) VALUES (%s, %s, %s, %s)
"""

_READ_CREDENTIAL = """
SELECT credentials.id, credentials.client_id, credentials.kind, credentials.secret_hash,
       credentials.revoked_at IS NOT NULL AS revoked,
       clients.state AS client_state, clients.token_version, clients.generation
FROM credentials JOIN clients ON clients.id = credentials.client_id
WHERE credentials.id = %s
"""

# What the client has not chosen itself is what all share, and only then this release's default.
_READ_CONFIGURATION = """
SELECT coalesce(own.version, 0) AS version,
       coalesce(nullif(own.personality, ''), shared.personality, '') AS personality,
       coalesce(shared.settings, '{}') || coalesce(own.settings, '{}') AS chosen
FROM (SELECT) AS one
LEFT JOIN (SELECT version, personality, settings FROM client_configs
           WHERE client_id = %s ORDER BY version DESC LIMIT 1) AS own ON true
LEFT JOIN (SELECT personality, settings FROM shared_configurations ORDER BY version DESC LIMIT 1) AS shared
       ON true
"""

_WRITE_BOT = """
INSERT INTO bot_status (client_id, state, reason, until, generation, number, lid, phone_seen_at, channel,
                        release, pid, journal_backlog, reconnects, new_chats, new_chats_limit, undelivered,
                        seen_at, state_since)
VALUES (%(client_id)s, %(state)s, %(reason)s, to_timestamp(%(until)s), %(generation)s, %(number)s, %(lid)s,
        to_timestamp(%(phone_seen_at)s), %(channel)s, %(release)s, %(pid)s, %(backlog)s,
        %(reconnects)s, %(new_chats)s, %(new_chats_limit)s, %(undelivered)s, now(), now())
ON CONFLICT (client_id) DO UPDATE
SET state = EXCLUDED.state, reason = EXCLUDED.reason, until = EXCLUDED.until,
    generation = EXCLUDED.generation, number = EXCLUDED.number, lid = EXCLUDED.lid,
    -- A restarted bot has not seen the phone yet: what was known of the same phone stays.
    phone_seen_at = CASE WHEN bot_status.number = EXCLUDED.number
                         THEN greatest(bot_status.phone_seen_at, EXCLUDED.phone_seen_at)
                         ELSE EXCLUDED.phone_seen_at END,
    channel = EXCLUDED.channel, release = EXCLUDED.release, pid = EXCLUDED.pid,
    journal_backlog = EXCLUDED.journal_backlog, reconnects = EXCLUDED.reconnects,
    new_chats = EXCLUDED.new_chats, new_chats_limit = EXCLUDED.new_chats_limit,
    undelivered = EXCLUDED.undelivered, seen_at = EXCLUDED.seen_at,
    state_since = CASE WHEN bot_status.state = EXCLUDED.state
                       THEN bot_status.state_since ELSE EXCLUDED.state_since END
"""

_READ_RESTORE = """
SELECT id, extract(epoch FROM since)::double precision FROM restores ORDER BY at DESC, id LIMIT 1
"""

_LOCK_BOT_STATE = "SELECT state, reason, until, number FROM bot_status WHERE client_id = %s FOR UPDATE"

_READ_BOT = """
SELECT state, reason, release, seen_at, extract(epoch FROM now() - seen_at)::float8 AS silent_seconds,
       state_since, until, number, phone_seen_at,
       extract(epoch FROM now() - phone_seen_at)::float8 AS phone_silent_seconds,
       journal_backlog AS backlog, reconnects, new_chats, new_chats_limit, undelivered
FROM bot_status
WHERE client_id = %s
"""

_READ_BOTS = """
SELECT client_id, state, reason, release, seen_at, extract(epoch FROM now() - seen_at)::float8,
       state_since, until, number, phone_seen_at, extract(epoch FROM now() - phone_seen_at)::float8,
       journal_backlog, reconnects, new_chats, new_chats_limit, undelivered
FROM bot_status
"""

_READ_NUMBERS = """
SELECT DISTINCT known FROM bot_status
JOIN clients ON clients.id = bot_status.client_id
CROSS JOIN LATERAL (VALUES (number), (lid)) AS names (known)
WHERE known <> '' AND clients.state <> 'removed' ORDER BY known
"""

_READ_OPERATOR = "SELECT password_hash, token_version FROM operators WHERE name = %s"

_READ_OPERATOR_VERSION = "SELECT token_version FROM operators WHERE name = %s"

_WRITE_OPERATOR = """
INSERT INTO operators (name, password_hash) VALUES (%(name)s, %(hash)s)
ON CONFLICT (name) DO UPDATE
SET password_hash = EXCLUDED.password_hash, token_version = operators.token_version + 1
"""


async def read(connection: Connection, client_id: str) -> Client | None:
    """One client, or None."""
    async with connection.cursor(row_factory=class_row(Client)) as cursor:
        await cursor.execute(_READ, (client_id,))
        return await cursor.fetchone()


async def lock(connection: Connection, client_id: str) -> Client | None:
    """One client, which nobody else changes until this transaction ends."""
    async with connection.cursor(row_factory=class_row(Client)) as cursor:
        await cursor.execute(_LOCK, (client_id,))
        return await cursor.fetchone()


async def list_all(connection: Connection) -> list[Client]:
    """Every client, by id (operators)."""
    async with connection.cursor(row_factory=class_row(Client)) as cursor:
        await cursor.execute(_LIST)
        return await cursor.fetchall()


async def timezone_exists(connection: Connection, name: str) -> bool:
    """Whether PostgreSQL, which computes the days of the statistics, knows the IANA zone `name`."""
    return bool(scalar(await (await connection.execute(_TIMEZONE_EXISTS, (name,))).fetchone()))


async def register(connection: Connection, client_id: str, wanted: RegisterClient) -> bool:
    """Insert, update or revive (operators); returns whether anything changed."""
    fields = {
        "id": client_id,
        "name": wanted.name or client_id,
        "channel": wanted.channel,
        "language": wanted.language,
        "timezone": wanted.timezone,
    }
    inserted = await connection.execute(_INSERT, fields)
    if inserted.rowcount:
        return True
    return bool((await connection.execute(_UPDATE, fields)).rowcount)


async def remove(connection: Connection, client_id: str) -> bool:
    """Mark as removed, revoke tokens and credentials (operators); returns whether anything changed."""
    changed = bool((await connection.execute(_REMOVE, (client_id,))).rowcount)
    await connection.execute(_REVOKE_ALL, (client_id,))
    await connection.execute(_FORGET_BOT, (client_id,))
    return changed


async def purge(connection: Connection, client_id: str) -> None:
    """Delete the client and every row that belongs to it (operators)."""
    await connection.execute(_PURGE, (client_id,))


async def add_credential(
    connection: Connection, credential_id: str, client_id: str, kind: str, secret_hash: str
) -> None:
    """Store a credential (operators)."""
    await connection.execute(_INSERT_CREDENTIAL, (credential_id, client_id, kind, secret_hash))


async def revoke_credentials(connection: Connection, client_id: str, kind: str) -> None:
    """Revoke a client's credentials of one kind (operators)."""
    await connection.execute(_REVOKE_KIND, (client_id, kind))


async def read_credential(connection: Connection, credential_id: str) -> Credential | None:
    """One credential of the connection's client, or None."""
    async with connection.cursor(row_factory=class_row(Credential)) as cursor:
        await cursor.execute(_READ_CREDENTIAL, (credential_id,))
        return await cursor.fetchone()


async def read_configuration(connection: Connection, client_id: str) -> Configuration:
    """What is in force: the client's newest configuration over the shared one; version 0 without its own."""
    async with connection.cursor(row_factory=class_row(Configuration)) as cursor:
        await cursor.execute(_READ_CONFIGURATION, (client_id,))
        return await cursor.fetchone() or Configuration()


async def read_restore(connection: Connection) -> tuple[str, float]:
    """Id and moment (Unix time) of the last restore that the client's rows come from; none is "" and 0."""
    row = await (await connection.execute(_READ_RESTORE)).fetchone()
    return (row[0], row[1]) if row else ("", 0.0)


async def write_bot(connection: Connection, client_id: str, status: BotStatus) -> bool:
    """Store a bot's sign of life; returns whether it says something new."""
    known = await (await connection.execute(_LOCK_BOT_STATE, (client_id,))).fetchone()
    fields: dict[str, Any] = {
        "client_id": client_id,
        "state": status.state,
        "reason": status.reason,
        "channel": status.channel,
        "release": status.release,
        "pid": status.pid,
        "backlog": status.journal_backlog,
        "reconnects": status.reconnects,
        "new_chats": status.new_chats,
        "new_chats_limit": status.new_chats_limit,
        "undelivered": status.undelivered,
        "until": status.until,
        "generation": status.generation,
        "number": status.number,
        "lid": status.lid,
        "phone_seen_at": status.phone_seen_at,
    }
    await connection.execute(_WRITE_BOT, fields)
    if known is None:
        return True
    state, reason, until, number = known
    ends = None if until is None else round(until.timestamp())
    will_end = None if status.until is None else round(status.until)
    return (state, reason, ends, number) != (status.state, status.reason, will_end, status.number)


async def read_bot(connection: Connection, client_id: str) -> BotReport | None:
    """The last sign of life of a client's bot, or None."""
    async with connection.cursor(row_factory=class_row(BotReport)) as cursor:
        await cursor.execute(_READ_BOT, (client_id,))
        return await cursor.fetchone()


async def read_bots(connection: Connection) -> dict[str, BotReport]:
    """Client id → last sign of life (operators)."""
    rows = await (await connection.execute(_READ_BOTS)).fetchall()
    return {row[0]: BotReport(*row[1:]) for row in rows}


async def read_numbers(connection: Connection) -> list[str]:
    """The numbers and LIDs of all bots of clients that are not removed (operators)."""
    return [row[0] for row in await (await connection.execute(_READ_NUMBERS)).fetchall()]


async def read_operator(connection: Connection, name: str) -> tuple[str, int] | None:
    """An operator's password hash and token version (operators), or None."""
    return await (await connection.execute(_READ_OPERATOR, (name,))).fetchone()


async def read_operator_version(connection: Connection, name: str) -> int | None:
    """An operator's token version (operators), or None."""
    row = await (await connection.execute(_READ_OPERATOR_VERSION, (name,))).fetchone()
    return None if row is None else int(row[0])


async def write_operator(connection: Connection, name: str, password_hash: str) -> None:
    """Create an operator or change the password, which revokes the tokens (owner of the tables)."""
    await connection.execute(_WRITE_OPERATOR, {"name": name, "hash": password_hash})
