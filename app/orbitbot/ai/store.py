"""SQL of the AI service: the client's profile (read) and the exchanges (its memory)."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.errors import ForeignKeyViolation

from orbitbot.ai.models import Answer, Exchange, Memory, PastExchange, Profile
from orbitbot.contracts.configure import ClientSettings
from orbitbot.foundation.database import Connection, Database, scalar
from orbitbot.foundation.errors import NotFound

PROFILE_LIFETIME: Final = 1.5  # seconds until a changed configuration is seen
PROFILES_KEPT: Final = 2_000  # clients, per process
HISTORY_LIMIT: Final = 100  # exchanges read at most; the token budget usually cuts far earlier

_SETTINGS: Final = {field.encode_name for field in msgspec.structs.fields(ClientSettings)}

# The functions of migration 0053: each sets the client for its own transaction.
_PROFILE = "SELECT * FROM ai_profile(%s)"
_RECALL = "SELECT ai_recall(%s, %s, %s, %s)::text"
_KEEP = """
SELECT ai_keep(%s, %s, %s, %s, %s, %s, %s, %s::integer, %s::integer, %s::double precision::numeric,
               %s::double precision, %s)
"""

_EXCHANGE = """
SELECT turn_id, contact, question, answer, model, source, prompt_tokens, completion_tokens,
       cost_usd::double precision, provider_ms, coalesce(silenced_reason, '')
FROM exchanges
WHERE client_id = %s AND turn_id = %s
"""

# Only while there is something that it is a summary of: an erased contact stays erased.
_SUMMARISE = """
INSERT INTO summaries AS s (client_id, contact, text, until)
SELECT %(client)s, %(contact)s, %(text)s, %(until)s
WHERE EXISTS (SELECT FROM exchanges
              WHERE client_id = %(client)s AND contact = %(contact)s AND created_at = %(until)s)
ON CONFLICT (client_id, contact) DO UPDATE
SET text = EXCLUDED.text, until = EXCLUDED.until, updated_at = now()
WHERE s.until < EXCLUDED.until
"""

_PREVIOUS = """
SELECT question, answer, created_at FROM exchanges
WHERE client_id = %s AND contact = %s AND source NOT IN ('not_heard', 'silenced', 'person', 'note')
ORDER BY created_at DESC LIMIT 1
"""


class _Recalled(msgspec.Struct):
    """What `ai_recall` returns."""

    stored: Exchange | None = None
    summary: str = ""
    facts: tuple[str, ...] = ()
    paused: str = ""
    history: tuple[PastExchange, ...] = ()


class Store:
    """Reads profiles and keeps exchanges, each call in a transaction that sees one client only."""

    def __init__(self, database: Database, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._profiles: dict[str, tuple[float, Profile]] = {}

    async def profile(self, client_id: str) -> Profile:
        """The client's profile, at most `PROFILE_LIFETIME` old.

        Raises:
            NotFound: there is no such client, or it was removed.
            Unavailable: the database cannot be reached.
        """
        kept = self._profiles.get(client_id)
        if kept is not None and self._now() - kept[0] < PROFILE_LIFETIME:
            return kept[1]
        row = await self._database.ask(_PROFILE, (client_id,))
        if row is None:
            self._profiles.pop(client_id, None)
            raise NotFound(f"there is no client {client_id}")
        name, language, timezone, revision, personality, settings, sealed = row
        if kept is not None and revision == kept[1].revision:
            decoded = kept[1].settings
        else:
            decoded = decode_settings(settings or "{}")
        profile = Profile(
            client_id=client_id,
            revision=revision or "",
            name=name,
            language=language,
            timezone=timezone,
            personality=personality or "",
            settings=decoded,
            sealed_key=sealed,
        )
        if len(self._profiles) >= PROFILES_KEPT:
            self._profiles.clear()
        self._profiles[client_id] = (self._now(), profile)
        return profile

    def forget_profile(self, client_id: str) -> None:
        """Read the client's profile anew: this very process has changed something of it."""
        self._profiles.pop(client_id, None)

    async def recall(self, client_id: str, turn: str, contact: str) -> tuple[Exchange | None, Memory]:
        """The stored exchange of `turn`, if any; else what is remembered of the contact."""
        found = scalar(await self._database.ask(_RECALL, (client_id, turn, contact, HISTORY_LIMIT)))
        recalled = msgspec.json.decode(found, type=_Recalled)
        if recalled.stored is not None:
            return recalled.stored, Memory()
        return None, Memory(recalled.history, recalled.summary, recalled.facts, recalled.paused)

    async def previous(self, client_id: str, contact: str) -> PastExchange | None:
        """The contact's last exchange, if there is one."""
        async with self._database.client(client_id) as connection:
            row = await (await connection.execute(_PREVIOUS, (client_id, contact))).fetchone()
        return None if row is None else PastExchange(*row)

    async def keep(self, client_id: str, exchange: Exchange) -> tuple[Exchange, bool]:
        """Store an exchange. Returns what is stored under its turn, and whether this call stored it.

        The primary key decides between processes that answered the same turn at the same time.
        """
        answer = exchange.answer
        row = (
            client_id, exchange.turn, exchange.contact, exchange.question, answer.text, answer.model,
            answer.source, answer.prompt_tokens, answer.completion_tokens, answer.cost_usd,
            answer.provider_ms, answer.silenced,
        )  # fmt: skip
        try:
            made = scalar(await self._database.ask(_KEEP, row))
        except ForeignKeyViolation as error:
            raise NotFound(f"there is no client {client_id}") from error
        if made:
            return exchange, True
        async with self._database.client(client_id) as connection:
            winner = await _exchange(connection, client_id, exchange.turn)
        if winner is None:  # the client and its rows were deleted in between
            raise NotFound(f"there is no client {client_id}")
        return winner, False

    async def summarise(self, client_id: str, contact: str, text: str, until: datetime) -> bool:
        """Store a summary of everything up to `until`; False if a later one, or nothing at all, is there."""
        fields = {"client": client_id, "contact": contact, "text": text, "until": until}
        async with self._database.client(client_id) as connection:
            return bool((await connection.execute(_SUMMARISE, fields)).rowcount)


def decode_settings(stored: str) -> ClientSettings:
    """The stored settings, without fields that only a newer release knows (as after a rollback)."""
    fields: dict[str, Any] = msgspec.json.decode(stored, type=dict[str, Any])
    return msgspec.convert({name: fields[name] for name in fields.keys() & _SETTINGS}, ClientSettings)


async def _exchange(connection: Connection, client_id: str, turn: str) -> Exchange | None:
    cursor = await connection.execute(_EXCHANGE, (client_id, turn))
    row = await cursor.fetchone()
    if row is None:
        return None
    turn_id, contact, question, *answer = row
    return Exchange(turn_id, contact, question, Answer(*answer))
