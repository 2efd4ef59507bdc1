"""SQL of the AI service: the client's profile (read) and the exchanges (its memory)."""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from orbitbot.ai.models import Answer, Exchange, PastExchange, Profile
from orbitbot.contracts.configure import ClientSettings
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import NotFound

PROFILE_LIFETIME: Final = 3.0  # seconds until a changed configuration is seen
PROFILES_KEPT: Final = 2_000  # clients, per process
HISTORY_LIMIT: Final = 100  # exchanges read at most; the token budget usually cuts far earlier

_SETTINGS: Final = {field.encode_name for field in msgspec.structs.fields(ClientSettings)}

_PROFILE = """
SELECT c.name, c.language, c.timezone, v.version || '/' || v.created_at, v.personality, v.settings::text
FROM clients c
LEFT JOIN client_configs v ON v.client_id = c.id AND v.version = c.config_version
WHERE c.id = %s AND c.state <> 'removed'
"""

_EXCHANGE = """
SELECT turn_id, contact, question, answer, model, source, prompt_tokens, completion_tokens,
       cost_usd::double precision, provider_ms
FROM exchanges
WHERE client_id = %s AND turn_id = %s
"""

_HISTORY = """
SELECT question, answer
FROM exchanges
WHERE client_id = %s AND contact = %s AND source <> 'not_heard'
ORDER BY created_at DESC
LIMIT %s
"""

_INSERT = """
INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source,
                       prompt_tokens, completion_tokens, cost_usd, provider_ms)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (client_id, turn_id) DO NOTHING
"""


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
        async with self._database.client(client_id) as connection:
            cursor = await connection.execute(_PROFILE, (client_id,))
            row = await cursor.fetchone()
        if row is None:
            self._profiles.pop(client_id, None)
            raise NotFound(f"there is no client {client_id}")
        name, language, timezone, revision, personality, settings = row
        if kept is not None and revision == kept[1].revision:
            decoded = kept[1].settings
        else:
            decoded = _settings(settings or "{}")
        profile = Profile(
            client_id=client_id,
            revision=revision or "",
            name=name,
            language=language,
            timezone=timezone,
            personality=personality or "",
            settings=decoded,
        )
        if len(self._profiles) >= PROFILES_KEPT:
            self._profiles.clear()
        self._profiles[client_id] = (self._now(), profile)
        return profile

    async def recall(
        self, client_id: str, turn: str, contact: str
    ) -> tuple[Exchange | None, tuple[PastExchange, ...]]:
        """The stored exchange of `turn`, if any; else the contact's history, newest first."""
        async with self._database.client(client_id) as connection:
            stored = await _exchange(connection, client_id, turn)
            if stored is not None:
                return stored, ()
            cursor = await connection.execute(_HISTORY, (client_id, contact, HISTORY_LIMIT))
            return None, tuple(PastExchange(question, answer) for question, answer in await cursor.fetchall())

    async def keep(self, client_id: str, exchange: Exchange) -> tuple[Exchange, bool]:
        """Store an exchange. Returns what is stored under its turn, and whether this call stored it.

        The primary key decides between processes that answered the same turn at the same time.
        """
        answer = exchange.answer
        async with self._database.client(client_id) as connection:
            cursor = await connection.execute(
                _INSERT,
                (
                    client_id, exchange.turn, exchange.contact, exchange.question, answer.text, answer.model,
                    answer.source, answer.prompt_tokens, answer.completion_tokens, answer.cost_usd,
                    answer.provider_ms,
                ),
            )  # fmt: skip
            if cursor.rowcount == 1:
                return exchange, True
            winner = await _exchange(connection, client_id, exchange.turn)
        if winner is None:  # the client and its rows were deleted in between
            raise NotFound(f"there is no client {client_id}")
        return winner, False


def _settings(stored: str) -> ClientSettings:
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
