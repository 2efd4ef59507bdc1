"""What plugins ask for: chats paused and resumed, the client's people told."""

from collections.abc import Sequence
from datetime import timedelta

from psycopg.types.json import Jsonb

from orbitbot.foundation.database import Connection, Database
from orbitbot.plugins.admin import digits
from orbitbot.plugins.hooks import Effect, PauseChat, ResumeChat, Tell

_PAUSE = """
INSERT INTO paused_chats (client_id, contact, reason, author, until)
VALUES (%(client)s, %(contact)s, %(reason)s, %(author)s, now() + %(time)s::interval)
ON CONFLICT (client_id, contact) DO UPDATE
SET reason = EXCLUDED.reason, author = EXCLUDED.author, since = now(), until = EXCLUDED.until
"""
_RESUME = "DELETE FROM paused_chats WHERE client_id = %(client)s AND contact = ANY(%(contacts)s)"
_TELL = "INSERT INTO client_events (client_id, kind, contact, data) VALUES (%s, %s, %s, %s)"

# A contact that an admin names by number may be known by a channel's own form of it.
_KNOWN = """
SELECT DISTINCT contact FROM exchanges
WHERE client_id = %(client)s AND (contact = %(number)s OR contact LIKE %(number)s || '@%%')
"""


class Effects:
    """Carries out what plugins ask for, in the client's row-secured transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def carry_out(self, client_id: str, contact: str, author: str, effects: Sequence[Effect]) -> None:
        """All of them, or none.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with self._database.client(client_id) as connection:
            for effect in effects:
                match effect:
                    case PauseChat():
                        time = None if effect.minutes is None else timedelta(minutes=effect.minutes)
                        for each in await self._forms(connection, client_id, effect.contact) or [contact]:
                            fields = {"client": client_id, "contact": each, "reason": effect.reason[:500],
                                      "author": author, "time": time}  # fmt: skip
                            await connection.execute(_PAUSE, fields)
                    case ResumeChat():
                        contacts = await self._forms(connection, client_id, effect.contact)
                        await connection.execute(_RESUME, {"client": client_id, "contacts": contacts})
                    case Tell():
                        values = (client_id, effect.kind[:100], contact, Jsonb(dict(effect.data)))
                        await connection.execute(_TELL, values)

    @staticmethod
    async def _forms(connection: Connection, client_id: str, named: str) -> list[str]:
        """Every form in which the contact is known; the name itself if it is not known at all."""
        if not named:
            return []
        number = digits(named) or named
        rows = await (await connection.execute(_KNOWN, {"client": client_id, "number": number})).fetchall()
        return sorted({row[0] for row in rows} | {named})
