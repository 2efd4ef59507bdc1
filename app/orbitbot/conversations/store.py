"""The SQL of the ledger. Every function takes a connection of `Database.client(...)`, unless it says
that it needs the operators' role.

A state only ever moves forward: each UPDATE names the states that it may follow.
"""

from collections.abc import Sequence
from typing import Any

from psycopg.rows import class_row

from orbitbot.contracts.journal import JournaledTurn
from orbitbot.contracts.reports import Delivery, SetAside
from orbitbot.conversations.models import Answer, MessageRow, NewTurn, Turn
from orbitbot.foundation.database import Connection

_BEGIN = """
WITH begun AS (
    INSERT INTO turns (client_id, id, contact, type, origin, fingerprint, message, state, reason,
                       claimed_by, claimed_until, journaled_at, answering_at, finished_at)
    VALUES (%(client_id)s, %(id)s, %(contact)s, %(type)s, %(origin)s, %(fingerprint)s, %(message)s,
            %(state)s, %(reason)s, %(worker)s, clock_timestamp() + %(seconds)s * interval '1 second',
            to_timestamp(%(journaled_at)s),
            CASE %(state)s WHEN 'answering' THEN clock_timestamp() END,
            CASE WHEN %(state)s IN ('silenced', 'failed') THEN clock_timestamp() END)
    ON CONFLICT (client_id, id) DO UPDATE
    SET claimed_by = EXCLUDED.claimed_by, claimed_until = EXCLUDED.claimed_until,
        attempts = turns.attempts + 1
    WHERE turns.fingerprint = EXCLUDED.fingerprint
      AND turns.state IN ('received', 'transcribed', 'answering')
      AND (turns.claimed_until IS NULL OR turns.claimed_until < clock_timestamp()
           OR turns.claimed_by = EXCLUDED.claimed_by)
    RETURNING (xmax = 0) AS inserted
), added AS (
    INSERT INTO messages (client_id, id, turn_id, contact, type, sent_at, journaled_at)
    SELECT %(client_id)s, message.id, %(id)s, %(contact)s, message.type,
           to_timestamp(message.sent_at), to_timestamp(message.journaled_at)
    FROM unnest(%(message_ids)s::text[], %(message_types)s::text[], %(message_sent)s::float8[],
                %(message_journaled)s::float8[]) AS message (id, type, sent_at, journaled_at)
    WHERE EXISTS (SELECT FROM begun WHERE inserted)
    ON CONFLICT (client_id, id) DO UPDATE SET turn_id = EXCLUDED.turn_id
    WHERE messages.turn_id = ANY(%(replaces)s::text[])
    RETURNING id
)
SELECT (SELECT inserted FROM begun), (SELECT count(*) FROM added)
"""

_READ_TURN = """
SELECT client_id, id, contact, type, origin, fingerprint, message, transcription, state, reason, response,
       model, source, attempts, maybe_repeated, coalesce(claimed_until > clock_timestamp(), false) AS claimed,
       provider_ms, journaled_at, received_at, transcribed_at, answering_at, answered_at, delivering_at,
       finished_at, waiting_since, notice
FROM turns
WHERE client_id = %s AND id = %s
"""

_FIND_TURNS = """
SELECT client_id, id, contact, type, origin, fingerprint, message, transcription, state, reason, response,
       model, source, attempts, maybe_repeated, coalesce(claimed_until > clock_timestamp(), false) AS claimed,
       provider_ms, journaled_at, received_at, transcribed_at, answering_at, answered_at, delivering_at,
       finished_at, waiting_since, notice
FROM turns
WHERE id = %(id)s AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
ORDER BY client_id
"""

_FIND_MESSAGES = """
SELECT client_id, id, turn_id, contact, type, sent_at, journaled_at, silenced_reason, silenced_at
FROM messages
WHERE id = %(id)s AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
ORDER BY client_id
"""

_READ_MEMBERS = """
SELECT client_id, id, turn_id, contact, type, sent_at, journaled_at, silenced_reason, silenced_at
FROM messages
WHERE client_id = %s AND turn_id = %s
ORDER BY journaled_at, id
"""

_EXTEND = """
UPDATE turns SET claimed_until = clock_timestamp() + %(seconds)s * interval '1 second'
WHERE client_id = %(client_id)s AND id = %(id)s AND claimed_by = %(worker)s
  AND state IN ('received', 'transcribed', 'answering')
"""

_RELEASE = """
UPDATE turns SET claimed_by = NULL, claimed_until = NULL
WHERE client_id = %(client_id)s AND id = %(id)s AND claimed_by = %(worker)s
"""

_TRANSCRIBED = """
UPDATE turns
SET state = 'answering', transcription = %(transcription)s, transcribed_at = clock_timestamp(),
    answering_at = clock_timestamp()
WHERE client_id = %(client_id)s AND id = %(id)s AND claimed_by = %(worker)s
  AND state IN ('received', 'transcribed')
"""

_WAITING = """
UPDATE turns
SET waiting_since = coalesce(waiting_since, clock_timestamp()),
    notice = CASE WHEN waiting_since < clock_timestamp() - %(after)s * interval '1 second'
                  THEN %(notice)s ELSE notice END
WHERE client_id = %(client_id)s AND id = %(id)s AND claimed_by = %(worker)s AND state = 'received'
"""

_ANSWERED = """
UPDATE turns
SET state = 'answered', response = %(response)s, model = %(model)s, source = %(source)s,
    prompt_tokens = %(prompt_tokens)s, completion_tokens = %(completion_tokens)s,
    cost_usd = %(cost_usd)s, provider_ms = %(provider_ms)s, answered_at = clock_timestamp(),
    claimed_by = NULL, claimed_until = NULL
WHERE client_id = %(client_id)s AND id = %(id)s AND claimed_by = %(worker)s
  AND state IN ('received', 'transcribed', 'answering')
"""

_FAILED = """
UPDATE turns
SET state = 'failed', reason = %(reason)s, finished_at = clock_timestamp(),
    claimed_by = NULL, claimed_until = NULL
WHERE client_id = %(client_id)s AND id = %(id)s AND claimed_by = %(worker)s
  AND state IN ('received', 'transcribed', 'answering')
"""

_SILENCED = """
UPDATE turns
SET state = 'silenced', reason = %(reason)s, finished_at = clock_timestamp(),
    claimed_by = NULL, claimed_until = NULL
WHERE client_id = %(client_id)s AND id = %(id)s AND claimed_by = %(worker)s
  AND state IN ('received', 'transcribed', 'answering')
"""

_SET_ASIDE = """
INSERT INTO messages (client_id, id, contact, type, sent_at, journaled_at, silenced_reason, silenced_at)
VALUES (%(client_id)s, %(id)s, %(contact)s, %(type)s, to_timestamp(%(sent_at)s),
        to_timestamp(%(journaled_at)s), %(reason)s, to_timestamp(%(at)s))
ON CONFLICT (client_id, id) DO NOTHING
"""

_DELIVERING = """
UPDATE turns
SET state = CASE state WHEN 'answered' THEN 'delivering' ELSE state END,
    delivering_at = coalesce(delivering_at, to_timestamp(%(at)s)),
    maybe_repeated = maybe_repeated OR %(maybe_repeated)s
WHERE client_id = %(client_id)s AND id = %(id)s AND state IN ('answered', 'delivering', 'delivered')
"""

_DELIVERED = """
UPDATE turns
SET state = 'delivered',
    finished_at = CASE state WHEN 'delivered' THEN finished_at ELSE to_timestamp(%(at)s) END,
    maybe_repeated = maybe_repeated OR %(maybe_repeated)s
WHERE client_id = %(client_id)s AND id = %(id)s AND state IN ('answered', 'delivering', 'delivered')
"""

_NOT_DELIVERED = """
UPDATE turns
SET state = 'silenced', reason = %(reason)s, finished_at = to_timestamp(%(at)s),
    maybe_repeated = maybe_repeated OR %(maybe_repeated)s, claimed_by = NULL, claimed_until = NULL
WHERE client_id = %(client_id)s AND id = %(id)s AND state NOT IN ('delivered', 'silenced', 'failed')
"""

_DELIVERY_FAILED = """
UPDATE turns
SET state = 'failed', reason = %(reason)s, finished_at = to_timestamp(%(at)s),
    maybe_repeated = maybe_repeated OR %(maybe_repeated)s, claimed_by = NULL, claimed_until = NULL
WHERE client_id = %(client_id)s AND id = %(id)s AND state NOT IN ('delivered', 'silenced', 'failed')
"""

# After a restore. A turn that the ledger has not settled is brought forward; the bot knows how it ended.
_TAKE_BACK = """
INSERT INTO turns (client_id, id, contact, type, origin, fingerprint, message, state, reason, response,
                   maybe_repeated, journaled_at, received_at, answered_at, delivering_at, finished_at)
VALUES (%(client_id)s, %(id)s, %(contact)s, %(type)s, 'bot', sha256(convert_to('journal:' || %(id)s, 'UTF8')),
        %(message)s, %(state)s, %(reason)s, %(response)s, %(maybe_repeated)s, to_timestamp(%(journaled_at)s),
        to_timestamp(%(fixed_at)s),
        CASE WHEN %(response)s <> '' THEN to_timestamp(%(fixed_at)s) END,
        CASE WHEN %(state)s = 'delivering' THEN to_timestamp(%(fixed_at)s) END,
        to_timestamp(%(finished_at)s))
ON CONFLICT (client_id, id) DO UPDATE
SET state = EXCLUDED.state, reason = EXCLUDED.reason, finished_at = EXCLUDED.finished_at,
    response = CASE turns.response WHEN '' THEN EXCLUDED.response ELSE turns.response END,
    answered_at = coalesce(turns.answered_at, EXCLUDED.answered_at),
    delivering_at = coalesce(turns.delivering_at, EXCLUDED.delivering_at),
    maybe_repeated = turns.maybe_repeated OR EXCLUDED.maybe_repeated,
    claimed_by = NULL, claimed_until = NULL
WHERE turns.state NOT IN ('delivered', 'silenced', 'failed') AND turns.state <> EXCLUDED.state
"""

_TAKE_BACK_MESSAGE = """
INSERT INTO messages (client_id, id, turn_id, contact, type, sent_at, journaled_at)
VALUES (%(client_id)s, %(id)s, %(turn)s, %(contact)s, %(type)s, to_timestamp(%(sent_at)s),
        to_timestamp(%(journaled_at)s))
ON CONFLICT (client_id, id) DO NOTHING
"""

_TAKE_BACK_EXCHANGE = """
INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source, created_at)
VALUES (%(client_id)s, %(id)s, %(contact)s, %(message)s, %(response)s, '', 'journal',
        to_timestamp(%(fixed_at)s))
ON CONFLICT (client_id, turn_id) DO NOTHING
"""

_KNOWN_MESSAGES = "SELECT id FROM messages WHERE client_id = %s AND id = ANY(%s)"

_KNOWN_TURNS = "SELECT id FROM turns WHERE client_id = %s AND id = ANY(%s)"


async def begin(
    connection: Connection, turn: NewTurn, worker: str, seconds: float
) -> tuple[bool | None, int]:
    """Store a new turn with its messages, or claim one that nobody else works on, for `seconds`.

    A worker has at most one task for a turn: its own claim is one that it could not release.

    Returns:
        Whether the turn is new (False: it was there and is claimed now; None: it was there and is
        not ours), and how many of its messages were new.
    """
    fields: dict[str, Any] = {
        "client_id": turn.client_id,
        "id": turn.id,
        "contact": turn.contact,
        "type": turn.type,
        "origin": turn.origin,
        "fingerprint": turn.fingerprint,
        "message": turn.message,
        "state": turn.state,
        "reason": turn.reason,
        "worker": worker,
        "seconds": seconds,
        "journaled_at": min(message.journaled_at for message in turn.messages),
        "replaces": list(turn.replaces),
        "message_ids": [message.id for message in turn.messages],
        "message_types": [message.type for message in turn.messages],
        "message_sent": [message.sent_at for message in turn.messages],
        "message_journaled": [message.journaled_at for message in turn.messages],
    }
    row = await (await connection.execute(_BEGIN, fields)).fetchone()
    if row is None:
        raise LookupError("a SELECT without FROM returned no row")
    return row[0], row[1]


async def read_turn(connection: Connection, client_id: str, turn_id: str) -> Turn | None:
    """One turn, or None."""
    async with connection.cursor(row_factory=class_row(Turn)) as cursor:
        await cursor.execute(_READ_TURN, (client_id, turn_id))
        return await cursor.fetchone()


async def find_turns(connection: Connection, turn_id: str, client_id: str | None) -> list[Turn]:
    """Turns with this id: of one client, or of all that the role may see (operators)."""
    async with connection.cursor(row_factory=class_row(Turn)) as cursor:
        await cursor.execute(_FIND_TURNS, {"id": turn_id, "client_id": client_id})
        return await cursor.fetchall()


async def find_messages(connection: Connection, message_id: str, client_id: str | None) -> list[MessageRow]:
    """Messages with this id: of one client, or of all that the role may see (operators)."""
    async with connection.cursor(row_factory=class_row(MessageRow)) as cursor:
        await cursor.execute(_FIND_MESSAGES, {"id": message_id, "client_id": client_id})
        return await cursor.fetchall()


async def read_members(connection: Connection, client_id: str, turn_id: str) -> list[MessageRow]:
    """The messages of a turn, in order."""
    async with connection.cursor(row_factory=class_row(MessageRow)) as cursor:
        await cursor.execute(_READ_MEMBERS, (client_id, turn_id))
        return await cursor.fetchall()


async def extend(connection: Connection, client_id: str, turn_id: str, worker: str, seconds: float) -> bool:
    """Keep a claim; False if it is not ours any more."""
    fields = {"client_id": client_id, "id": turn_id, "worker": worker, "seconds": seconds}
    return bool((await connection.execute(_EXTEND, fields)).rowcount)


async def release(connection: Connection, client_id: str, turn_id: str, worker: str) -> None:
    """Give a claim up."""
    await connection.execute(_RELEASE, {"client_id": client_id, "id": turn_id, "worker": worker})


async def transcribed(
    connection: Connection, client_id: str, turn_id: str, worker: str, transcription: str
) -> bool:
    """Store what was heard; False if the claim is not ours any more."""
    fields = {"client_id": client_id, "id": turn_id, "worker": worker, "transcription": transcription}
    return bool((await connection.execute(_TRANSCRIBED, fields)).rowcount)


async def waiting(
    connection: Connection, client_id: str, turn_id: str, worker: str, *, notice: str, after: float
) -> bool:
    """Store that voice notes wait, and `notice` once they do for `after` seconds; False if not ours."""
    fields = {"client_id": client_id, "id": turn_id, "worker": worker, "notice": notice, "after": after}
    return bool((await connection.execute(_WAITING, fields)).rowcount)


async def answered(connection: Connection, client_id: str, turn_id: str, worker: str, answer: Answer) -> bool:
    """Store the answer; False if the claim is not ours any more."""
    fields = {
        "client_id": client_id,
        "id": turn_id,
        "worker": worker,
        "response": answer.response,
        "model": answer.model,
        "source": answer.source,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "cost_usd": answer.cost_usd,
        "provider_ms": answer.provider_ms,
    }
    return bool((await connection.execute(_ANSWERED, fields)).rowcount)


async def failed(connection: Connection, client_id: str, turn_id: str, worker: str, reason: str) -> bool:
    """Store that there will be no answer; False if the claim is not ours any more."""
    fields = {"client_id": client_id, "id": turn_id, "worker": worker, "reason": reason}
    return bool((await connection.execute(_FAILED, fields)).rowcount)


async def silenced(connection: Connection, client_id: str, turn_id: str, worker: str, reason: str) -> bool:
    """Store that the turn is on purpose not answered; False if the claim is not ours any more."""
    fields = {"client_id": client_id, "id": turn_id, "worker": worker, "reason": reason}
    return bool((await connection.execute(_SILENCED, fields)).rowcount)


async def known_turns(connection: Connection, client_id: str, turn_ids: Sequence[str]) -> set[str]:
    """Which of these turns the ledger has."""
    rows = await (await connection.execute(_KNOWN_TURNS, (client_id, list(turn_ids)))).fetchall()
    return {row[0] for row in rows}


async def known_messages(connection: Connection, client_id: str, message_ids: Sequence[str]) -> set[str]:
    """Which of these messages the ledger has."""
    rows = await (await connection.execute(_KNOWN_MESSAGES, (client_id, list(message_ids)))).fetchall()
    return {row[0] for row in rows}


async def take_back(connection: Connection, client_id: str, turn: JournaledTurn) -> int:
    """Store a turn of a bot's journal with messages and exchange; 1 if the ledger lacked it, else 0."""
    fields: dict[str, Any] = {
        "client_id": client_id,
        "id": turn.id,
        "contact": turn.contact,
        "type": turn.type,
        "message": turn.message,
        "state": turn.state,
        "reason": turn.reason,
        "response": turn.response,
        "maybe_repeated": turn.maybe_repeated,
        "journaled_at": min(member.journaled_at for member in turn.members),
        "fixed_at": turn.fixed_at,
        "finished_at": turn.finished_at,
    }
    added = (await connection.execute(_TAKE_BACK, fields)).rowcount
    for member in turn.members:
        await connection.execute(
            _TAKE_BACK_MESSAGE,
            {
                "client_id": client_id,
                "id": member.id,
                "turn": turn.id,
                "contact": turn.contact,
                "type": member.type,
                "sent_at": member.sent_at,
                "journaled_at": member.journaled_at,
            },
        )
    if turn.message and turn.response:
        await connection.execute(_TAKE_BACK_EXCHANGE, fields)
    return added


async def set_aside(connection: Connection, client_id: str, reports: Sequence[SetAside]) -> None:
    """Store messages that are never answered; one that the ledger has already stays as it is."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _SET_ASIDE,
            [
                {
                    "client_id": client_id,
                    "id": report.message_id,
                    "contact": report.from_,
                    "type": report.type,
                    "sent_at": report.sent_at,
                    "journaled_at": report.journaled_at,
                    "reason": report.reason,
                    "at": report.at,
                }
                for report in reports
            ],
        )


async def delivered(connection: Connection, client_id: str, reports: Sequence[Delivery]) -> None:
    """Move turns forward by what their bot reports of the delivery, in order."""
    statements = {
        "delivering": _DELIVERING,
        "delivered": _DELIVERED,
        "failed": _DELIVERY_FAILED,
        "silenced": _NOT_DELIVERED,
    }
    async with connection.pipeline():
        for report in reports:
            fields = {
                "client_id": client_id,
                "id": report.turn,
                "at": report.at,
                "maybe_repeated": report.maybe_repeated,
                "reason": report.reason,
            }
            await connection.execute(statements[report.state], fields)
