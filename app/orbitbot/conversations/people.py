"""One contact's data: exported, erased, and old texts taken away by policy.

Erasing deletes what was said and empties the rows that counts are made of: a turn keeps its times, states and
cost under a random name, and nothing leads from there to a person.
"""

import json
import logging
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString, Protocol

from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb
from redis.asyncio import Redis
from redis.exceptions import RedisError

from orbitbot.contracts.journal import MAX_FORGOTTEN, Forgotten
from orbitbot.contracts.people import (
    AdminCommand,
    AdminCommandList,
    ClientEvent,
    ContactData,
    Erased,
    EventList,
    Facts,
    Pause,
    PauseList,
    PauseRequest,
    Spending,
    SpentOn,
)
from orbitbot.conversations.service import check_id, check_time
from orbitbot.foundation.database import Connection, Database, scalar
from orbitbot.foundation.errors import Conflict, InvalidInput, NotFound
from orbitbot.foundation.names import redis_prefix
from orbitbot.foundation.text import check_strings

EVENTS_PAGE: Final = 100
MAX_DAYS: Final = 366
SCAN_COUNT: Final = 500
AFTER_RESTORE: Final = "restore"  # the author of an erasure that is done again
_DIGEST_LIMIT: Final = 128  # characters
NOBODY: Final = "erased:"  # and a random name, in place of the contact

log = logging.getLogger(__name__)

_EXPORT: Final[dict[str, LiteralString]] = {
    "turns": """
        SELECT id, type, origin, message, transcription, state, reason, response, model, source,
               prompt_tokens, completion_tokens, cost_usd::float8 AS cost_usd, received_at, finished_at
        FROM turns WHERE client_id = %s AND contact = %s ORDER BY received_at""",
    "messages": """
        SELECT id, turn_id, type, sent_at, journaled_at, silenced_reason
        FROM messages WHERE client_id = %s AND contact = %s ORDER BY journaled_at""",
    "exchanges": """
        SELECT turn_id, question, answer, model, source, created_at
        FROM exchanges WHERE client_id = %s AND contact = %s ORDER BY created_at""",
    "sends": """
        SELECT id, type, text, state, reason, message_id, created_at, sent_at, delivered_at, read_at
        FROM sends WHERE client_id = %s AND contact = %s ORDER BY created_at""",
    "events": """
        SELECT id, kind, data, at FROM client_events WHERE client_id = %s AND contact = %s ORDER BY id""",
}
_FACTS = "SELECT facts FROM contact_facts WHERE client_id = %s AND contact = %s"
_SUMMARY = "SELECT text FROM summaries WHERE client_id = %s AND contact = %s"
_PAUSE = """
SELECT contact, reason, author, since, until FROM paused_chats
WHERE client_id = %s AND contact = %s AND (until IS NULL OR until > now())
"""
_PAUSES = """
SELECT contact, reason, author, since, until FROM paused_chats
WHERE client_id = %s AND (until IS NULL OR until > now())
ORDER BY since DESC LIMIT 500
"""
_UNDER_WAY = """
SELECT EXISTS (SELECT FROM turns WHERE client_id = %s AND contact = %s
               AND state IN ('received', 'transcribed', 'answering') AND claimed_until > clock_timestamp())
"""
# Every table that names a contact. What goes: everything; or, after a restore, what is older than an erasure
# that the restore has undone.
_ERASE: Final[dict[str, LiteralString]] = {
    "turns": """
        UPDATE turns SET contact = %(nobody)s, message = '', transcription = NULL, response = '',
               fingerprint = sha256(gen_random_uuid()::text::bytea),
               state = CASE WHEN state IN ('delivered', 'silenced', 'failed') THEN state ELSE 'failed' END,
               reason = CASE WHEN state IN ('delivered', 'silenced', 'failed') THEN reason ELSE 'erased' END,
               finished_at = coalesce(finished_at, clock_timestamp()), claimed_by = NULL, claimed_until = NULL
        WHERE client_id = %(client)s AND contact = %(contact)s AND received_at < %(before)s""",
    "messages": """
        UPDATE messages SET contact = %(nobody)s
        WHERE client_id = %(client)s AND contact = %(contact)s AND journaled_at < %(before)s""",
    "exchanges": """
        DELETE FROM exchanges
        WHERE client_id = %(client)s AND contact = %(contact)s AND created_at < %(before)s""",
    "summaries": """
        DELETE FROM summaries
        WHERE client_id = %(client)s AND contact = %(contact)s AND updated_at < %(before)s""",
    "contact_facts": """
        DELETE FROM contact_facts
        WHERE client_id = %(client)s AND contact = %(contact)s AND updated_at < %(before)s""",
    "paused_chats": """
        DELETE FROM paused_chats
        WHERE client_id = %(client)s AND contact = %(contact)s AND since < %(before)s""",
    "client_events": """
        DELETE FROM client_events
        WHERE client_id = %(client)s AND contact = %(contact)s AND at < %(before)s""",
    "turn_changes": """
        DELETE FROM turn_changes
        WHERE client_id = %(client)s AND contact = %(contact)s AND at < %(before)s""",
    "sends": """
        DELETE FROM sends
        WHERE client_id = %(client)s AND contact = %(contact)s AND created_at < %(before)s""",
    "owner_commands": """
        DELETE FROM owner_commands
        WHERE client_id = %(client)s AND contact = %(contact)s AND at < %(before)s""",
}
# What an admin number was shown of the contact, or did about it, by a command in the chat.
_SHOWN: Final[tuple[LiteralString, ...]] = (
    """
        UPDATE turns SET message = '', response = '', fingerprint = sha256(gen_random_uuid()::text::bytea)
        WHERE client_id = %(client)s AND received_at < %(before)s AND id IN (
            SELECT turn_id FROM owner_commands
            WHERE client_id = %(client)s AND command = 'history'
              AND regexp_replace(arguments, '[^0-9]', '', 'g') = split_part(%(contact)s, '@', 1))""",
    """
        DELETE FROM owner_commands
        WHERE client_id = %(client)s AND command = 'history' AND at < %(before)s
          AND regexp_replace(arguments, '[^0-9]', '', 'g') = split_part(%(contact)s, '@', 1)""",
)
_OF_CONTACT = SQL("SELECT contact FROM {} WHERE client_id = %(client)s AND contact = %(contact)s")
_OF_CLIENT = SQL("SELECT contact FROM {} WHERE client_id = %(client)s")
_REMAINING = SQL("SELECT count(*) FROM ({}) AS everything").format(
    SQL(" UNION ALL ").join(_OF_CONTACT.format(Identifier(table)) for table in _ERASE)
)
_KNOWN_AGAIN = SQL(
    "SELECT contact FROM ({}) AS everybody"
    " WHERE encode(sha256(convert_to(%(salt)s || contact, 'UTF8')), 'hex') = %(digest)s"
).format(SQL(" UNION ").join(_OF_CLIENT.format(Identifier(table)) for table in _ERASE))
_ERASURE = "INSERT INTO erasures (client_id, id, author, counts) VALUES (%s, %s, %s, %s)"
_EXISTS = "SELECT EXISTS (SELECT FROM clients WHERE id = %s)"

_SET_FACTS = """
INSERT INTO contact_facts (client_id, contact, facts, author) VALUES (%s, %s, %s, %s)
ON CONFLICT (client_id, contact) DO UPDATE
SET facts = EXCLUDED.facts, author = EXCLUDED.author, updated_at = now()
"""
_NO_FACTS = "DELETE FROM contact_facts WHERE client_id = %s AND contact = %s"
_SET_PAUSE = """
INSERT INTO paused_chats (client_id, contact, reason, author, until)
VALUES (%s, %s, %s, %s, now() + %s::interval)
ON CONFLICT (client_id, contact) DO UPDATE
SET reason = EXCLUDED.reason, author = EXCLUDED.author, since = now(), until = EXCLUDED.until
RETURNING contact, reason, author, since, until
"""
_RESUME = "DELETE FROM paused_chats WHERE client_id = %s AND contact = %s"
_EVENTS = """
SELECT id, kind, contact, data, at FROM client_events WHERE client_id = %s AND id > %s ORDER BY id LIMIT %s
"""
_COMMANDS = """
SELECT turn_id, contact, command, arguments, outcome, at FROM owner_commands
WHERE client_id = %s AND at < %s ORDER BY at DESC LIMIT %s
"""
_SPENT = """
SELECT day::text, model, own_key, calls, prompt_tokens, completion_tokens, cost_usd::float8
FROM spending
WHERE client_id = %s
  AND day > (now() AT TIME ZONE (SELECT timezone FROM clients WHERE id = %s))::date - %s::int
ORDER BY day DESC, model
"""
_SO_FAR = """
WITH today AS (SELECT (now() AT TIME ZONE timezone)::date AS day FROM clients WHERE id = %(client)s),
     each AS (SELECT day, cost_usd AS usd FROM spending WHERE client_id = %(client)s
              UNION ALL SELECT day, amount_usd FROM reservations WHERE client_id = %(client)s)
SELECT coalesce(sum(usd) FILTER (WHERE each.day = today.day), 0)::float8,
       coalesce(sum(usd) FILTER (WHERE each.day >= date_trunc('month', today.day)::date), 0)::float8
FROM today LEFT JOIN each ON true
"""

# What is older than the client keeps goes: texts are emptied, memory is deleted.
_EXPIRED: Final[tuple[LiteralString, ...]] = (
    """UPDATE turns SET message = '', transcription = NULL, response = '',
                       contact = %(nobody)s || md5(%(salt)s || contact)
       WHERE client_id = %(client)s AND received_at < %(before)s AND contact NOT LIKE 'erased:%%'""",
    """UPDATE messages SET contact = %(nobody)s || md5(%(salt)s || contact)
       WHERE client_id = %(client)s AND journaled_at < %(before)s AND contact NOT LIKE 'erased:%%'""",
    "DELETE FROM exchanges WHERE client_id = %(client)s AND created_at < %(before)s",
    "DELETE FROM summaries WHERE client_id = %(client)s AND updated_at < %(before)s",
    "DELETE FROM client_events WHERE client_id = %(client)s AND at < %(before)s",
    "DELETE FROM turn_changes WHERE client_id = %(client)s AND at < %(before)s",
    "DELETE FROM sends WHERE client_id = %(client)s AND created_at < %(before)s",
    "DELETE FROM owner_commands WHERE client_id = %(client)s AND at < %(before)s",
)
_WHO_FORGETS = """
SELECT c.id, (v.settings->>'keepDays')::int
FROM clients c JOIN client_configs v ON v.client_id = c.id AND v.version = c.config_version
WHERE coalesce((v.settings->>'keepDays')::int, 0) > 0
"""
_ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(hashtextextended('orbitbot.retention', 0))"


class BotOrders(Protocol):
    """How a bot is told to forget a contact: by a command that waits for it, however long it is away."""

    async def forget_contact(
        self, connection: Connection, client_id: str, contact: str, *, author: str
    ) -> int: ...

    async def wake(self, client_id: str) -> None: ...


class People:
    """Contacts' data, one client at a time.

    Args:
        redis: where answers and transcripts are cached.
        bots: who tells the bots.
    """

    def __init__(self, database: Database, redis: Redis, bots: BotOrders) -> None:
        self._database = database
        self._redis = redis
        self._bots = bots

    async def export(self, client_id: str, contact: str) -> ContactData:
        """Everything that is kept of a contact.

        Raises:
            InvalidInput: the contact cannot be one.
            NotFound: there is no such client.
        """
        check_id(contact, "contact")
        found: dict[str, list[dict[str, Any]]] = {}
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            for name, statement in _EXPORT.items():
                async with connection.cursor(row_factory=dict_row) as cursor:
                    await cursor.execute(statement, (client_id, contact))
                    found[name] = [_plain(row) for row in await cursor.fetchall()]
            facts = await (await connection.execute(_FACTS, (client_id, contact))).fetchone()
            summary = await (await connection.execute(_SUMMARY, (client_id, contact))).fetchone()
            pause = await (await connection.execute(_PAUSE, (client_id, contact))).fetchone()
        return ContactData(
            client_id=client_id,
            contact=contact,
            turns=found["turns"],
            messages=found["messages"],
            exchanges=found["exchanges"],
            events=found["events"],
            sends=found["sends"],
            facts=facts[0] if facts else [],
            summary=summary[0] if summary else None,
            pause=_pause(pause) if pause else None,
        )

    async def erase(self, client_id: str, contact: str, author: str) -> Erased:
        """Erase a contact; harmless when repeated.

        Raises:
            InvalidInput, NotFound: see `export`.
            Conflict: a message of this contact is being answered at this moment.
        """
        check_id(contact, "contact")
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            if scalar(await (await connection.execute(_UNDER_WAY, (client_id, contact))).fetchone()):
                raise Conflict("a message of this contact is being answered: repeat this in a minute")
            erasure, counts = await _erase(connection, client_id, contact, author)
            command = await self._bots.forget_contact(connection, client_id, contact, author=author)
        await self._bots.wake(client_id)
        dropped = await self._drop_cached(client_id)
        fields = {"client": client_id, "contact": contact}
        async with self._database.client(client_id) as connection:
            remaining = int(scalar(await (await connection.execute(_REMAINING, fields)).fetchone()))
        log.info("contact erased", extra={"client_id": client_id, "by": author, "action": "erase_contact"})
        return Erased(str(erasure), counts, remaining, dropped, command)

    async def erase_again(self, client_id: str, forgotten: Sequence[Forgotten]) -> int:
        """Erase what a restore has brought back of erased contacts. Returns how many there were.

        Only what is older than the erasure goes: a contact that has written since has done so knowing.

        Raises:
            InvalidInput: too many at once, or a value that cannot be.
        """
        if len(forgotten) > MAX_FORGOTTEN:
            raise InvalidInput(
                "forgotten", f"has {len(forgotten)} contacts, at most {MAX_FORGOTTEN} are allowed"
            )
        found = 0
        for index, each in enumerate(forgotten):
            check_strings(each, field=f"forgotten[{index}]", limit=_DIGEST_LIMIT)
            check_time(each.at, f"forgotten[{index}].at")
        for each in forgotten:
            wanted = {"client": client_id, "salt": each.salt, "digest": each.digest}
            async with self._database.client(client_id) as connection:
                row = await (await connection.execute(_KNOWN_AGAIN, wanted)).fetchone()
                if row is None:
                    continue
                before = datetime.fromtimestamp(each.at, UTC)
                _, counts = await _erase(connection, client_id, row[0], AFTER_RESTORE, before)
                found += any(counts.values())
        if found:
            await self._drop_cached(client_id)
            log.info(
                "erased again after a restore",
                extra={"client_id": client_id, "contacts": found, "action": "erase_contact"},
            )
        return found

    async def _drop_cached(self, client_id: str) -> int:
        """Drop the client's cached answers and transcripts, whoever they were for."""
        dropped, prefix = 0, redis_prefix(client_id)
        try:
            for pattern in (f"{prefix}answer:*", f"{prefix}transcript:*"):
                async for key in self._redis.scan_iter(pattern, count=SCAN_COUNT):
                    dropped += int(await self._redis.unlink(key))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning(
                "what is cached stays until it expires",
                extra={"client_id": client_id, "action": "erase_contact", "error": type(error).__name__},
            )
        return dropped

    async def set_facts(self, client_id: str, contact: str, wanted: Facts, author: str) -> Facts:
        """Note something about a contact, in place of what was noted before.

        Raises:
            InvalidInput, NotFound: see `export`.
        """
        check_id(contact, "contact")
        check_strings(wanted)
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            if wanted.facts:
                await connection.execute(_SET_FACTS, (client_id, contact, Jsonb(wanted.facts), author))
            else:
                await connection.execute(_NO_FACTS, (client_id, contact))
        return wanted

    async def pause(self, client_id: str, contact: str, wanted: PauseRequest, author: str) -> Pause:
        """Make the assistant silent in a chat.

        Raises:
            InvalidInput, NotFound: see `export`.
        """
        check_id(contact, "contact")
        check_strings(wanted)
        time = None if wanted.minutes is None else timedelta(minutes=wanted.minutes)
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            row = await (
                await connection.execute(_SET_PAUSE, (client_id, contact, wanted.reason, author, time))
            ).fetchone()
        if row is None:
            raise LookupError("an INSERT returned no row")
        return _pause(row)

    async def resume(self, client_id: str, contact: str) -> bool:
        """Let the assistant answer a chat again; whether it was paused."""
        check_id(contact, "contact")
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            return bool((await connection.execute(_RESUME, (client_id, contact))).rowcount)

    async def pauses(self, client_id: str) -> PauseList:
        """The chats that are paused."""
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            rows = await (await connection.execute(_PAUSES, (client_id,))).fetchall()
        return PauseList([_pause(row) for row in rows])

    async def events(self, client_id: str, after: int) -> EventList:
        """What has happened since the event `after`."""
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            rows = await (await connection.execute(_EVENTS, (client_id, after, EVENTS_PAGE))).fetchall()
        events = [ClientEvent(row[0], row[1], row[2], row[3], row[4].isoformat()) for row in rows]
        return EventList(events, events[-1].id if events else after)

    async def admin_commands(self, client_id: str, before: datetime | None) -> AdminCommandList:
        """What admin numbers have commanded in the chat, the newest first; `before` a time, where given."""
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            asked = (client_id, before or "infinity", EVENTS_PAGE)
            rows = await (await connection.execute(_COMMANDS, asked)).fetchall()
        commands = [
            AdminCommand(turn, contact, command, arguments, outcome, at.isoformat())
            for turn, contact, command, arguments, outcome, at in rows
        ]
        return AdminCommandList(commands, commands[-1].at if len(rows) == EVENTS_PAGE else None)

    async def spending(self, client_id: str, days: int) -> Spending:
        """What the last days took.

        Raises:
            InvalidInput: `days` is not between 1 and 366.
            NotFound: there is no such client.
        """
        if not 1 <= days <= MAX_DAYS:
            raise InvalidInput("days", f"{days} is not between 1 and {MAX_DAYS}")
        async with self._database.client(client_id) as connection:
            await _present(connection, client_id)
            rows = await (await connection.execute(_SPENT, (client_id, client_id, days))).fetchall()
            so_far = await (await connection.execute(_SO_FAR, {"client": client_id})).fetchone()
        today, month = so_far or (0.0, 0.0)
        return Spending(client_id, today, month, [SpentOn(*row) for row in rows])


async def apply_retention(operators: Database) -> dict[str, int]:
    """Take away the texts that clients do not keep any longer; client → rows. `operators` sees all clients.

    A client that has not chosen (`keepDays` 0) keeps everything.
    """
    done: dict[str, int] = {}
    async with operators.transaction() as connection:
        if not scalar(await (await connection.execute(_ONE_AT_A_TIME)).fetchone()):
            return done
        for client_id, days in await (await connection.execute(_WHO_FORGETS)).fetchall():
            before = datetime.now(UTC) - timedelta(days=days)
            salt = uuid.uuid4().hex  # kept nowhere: the name that stays cannot be traced back
            fields = {"client": client_id, "before": before, "nobody": NOBODY, "salt": salt}
            done[client_id] = 0
            for statement in _EXPIRED:
                done[client_id] += (await connection.execute(statement, fields)).rowcount
    return done


async def _erase(
    connection: Connection, client_id: str, contact: str, author: str, before: datetime | None = None
) -> tuple[uuid.UUID, dict[str, int]]:
    """Erase a contact's rows, those older than `before`. Returns the erasure's id, and rows by table."""
    erasure = uuid.uuid4()
    fields = {
        "client": client_id,
        "contact": contact,
        "nobody": f"{NOBODY}{uuid.uuid4().hex}",
        "before": before or "infinity",
    }
    for statement in _SHOWN:
        await connection.execute(statement, fields)
    counts = {
        table: (await connection.execute(statement, fields)).rowcount for table, statement in _ERASE.items()
    }
    await connection.execute(_ERASURE, (client_id, erasure, author, Jsonb(counts)))
    return erasure, counts


async def _present(connection: Connection, client_id: str) -> None:
    if not scalar(await (await connection.execute(_EXISTS, (client_id,))).fetchone()):
        raise NotFound(f"there is no client {client_id!r}")


def _pause(row: tuple[Any, ...]) -> Pause:
    return Pause(row[0], row[1], row[2], row[3].isoformat(), row[4].isoformat() if row[4] else None)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    built: dict[str, Any] = json.loads(json.dumps(row, default=lambda value: value.isoformat()))
    return built
