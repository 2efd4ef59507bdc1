"""The SQL of messages that the API sends. Every function takes a connection of `Database.client(...)`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from orbitbot.contracts.commands import SendType
from orbitbot.contracts.reports import Receipt, SendOutcome
from orbitbot.contracts.sending import SendState, SendView
from orbitbot.foundation.database import Connection

KEEP_DAYS: Final = 90  # that a message can be read

_INSERT = """
INSERT INTO sends (client_id, id, contact, type, text, author, idempotency_key, fingerprint, expires_at, file)
VALUES (%(client_id)s, %(id)s, %(contact)s, %(type)s, %(text)s, %(author)s, %(key)s, %(fingerprint)s,
        clock_timestamp() + make_interval(secs => %(seconds)s), %(file)s)
"""

_READ = """
SELECT id, contact, type, fingerprint,
       CASE WHEN state IN ('queued', 'waiting') AND expires_at < clock_timestamp()
            THEN 'failed' ELSE state END AS state,
       CASE WHEN state IN ('queued', 'waiting') AND expires_at < clock_timestamp()
            THEN 'expired' ELSE reason END AS reason,
       message_id, created_at, expires_at, sent_at, delivered_at, read_at
FROM sends
WHERE client_id = %(client_id)s AND (id = %(id)s OR idempotency_key = %(key)s)
"""

_FILE = "SELECT file FROM sends WHERE client_id = %s AND id = %s"

_OUTCOME = """
UPDATE sends
SET state = %(state)s, reason = %(reason)s, message_id = %(message_id)s,
    sent_at = CASE %(state)s WHEN 'sent' THEN to_timestamp(%(at)s) END,
    file = CASE %(state)s WHEN 'waiting' THEN file END
WHERE client_id = %(client_id)s AND id = %(id)s AND state IN ('queued', 'waiting')
"""

_RECEIPT = """
UPDATE sends
SET state = CASE WHEN state = 'read' THEN state ELSE %(state)s END,
    delivered_at = coalesce(delivered_at, to_timestamp(%(at)s)),
    read_at = CASE %(state)s WHEN 'read' THEN coalesce(read_at, to_timestamp(%(at)s)) ELSE read_at END
WHERE client_id = %(client_id)s AND message_id = ANY(%(ids)s) AND state IN ('sent', 'delivered', 'read')
"""

_FORGET = """
DELETE FROM sends WHERE client_id = %s AND created_at < clock_timestamp() - make_interval(days => %s)
"""

_DROP_FILES = """
UPDATE sends SET file = NULL
WHERE client_id = %s AND file IS NOT NULL AND expires_at < clock_timestamp()
"""


class StoredSend(msgspec.Struct, frozen=True):
    """A row of `sends`."""

    id: str
    contact: str
    type: SendType
    fingerprint: bytes
    state: SendState
    reason: str
    message_id: str
    created_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None

    def view(self) -> SendView:
        """What whoever sent it sees."""
        return SendView(
            id=self.id,
            to=self.contact,
            type=self.type,
            state=self.state,
            reason=self.reason,
            message_id=self.message_id,
            created_at=self.created_at.isoformat(),
            expires_at=self.expires_at.isoformat(),
            sent_at=_text(self.sent_at),
            delivered_at=_text(self.delivered_at),
            read_at=_text(self.read_at),
        )


async def insert(connection: Connection, fields: dict[str, Any]) -> None:
    """Store a message to send."""
    await connection.execute(_INSERT, fields)


async def read(
    connection: Connection, client_id: str, *, send: str = "", key: str | None = None
) -> StoredSend | None:
    """One message by its id or the idempotency key that it was given with, or None."""
    async with connection.cursor(row_factory=class_row(StoredSend)) as cursor:
        await cursor.execute(_READ, {"client_id": client_id, "id": send, "key": key})
        return await cursor.fetchone()


async def read_file(connection: Connection, client_id: str, send: str) -> bytes | None:
    """The message's file, as long as it may be needed."""
    row = await (await connection.execute(_FILE, (client_id, send))).fetchone()
    return None if row is None else row[0]


async def tidy(connection: Connection, client_id: str) -> None:
    """Drop what is too old to be asked for, and files that nobody will fetch any more."""
    await connection.execute(_FORGET, (client_id, KEEP_DAYS))
    await connection.execute(_DROP_FILES, (client_id,))


async def outcomes(connection: Connection, client_id: str, reports: Sequence[SendOutcome | Receipt]) -> None:
    """Move messages forward by what their bot reports, in order."""
    for report in reports:
        if isinstance(report, Receipt):
            fields = {
                "client_id": client_id,
                "ids": report.message_ids,
                "state": report.state,
                "at": report.at,
            }
            await connection.execute(_RECEIPT, fields)
        else:
            fields = {
                "client_id": client_id, "id": report.send, "state": report.state, "reason": report.reason,
                "message_id": report.message_id, "at": report.at,
            }  # fmt: skip
            await connection.execute(_OUTCOME, fields)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
