"""Clients' own provider keys: sealed on the way into the database, never shown again."""

from typing import Final

from orbitbot.ai.sealing import Sealer
from orbitbot.ai.store import Store
from orbitbot.contracts.trying import ProviderKey, ProviderKeyView
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import Unavailable

HINT: Final = 4  # last characters that are shown

_SAVE = """
INSERT INTO provider_keys (client_id, sealed, hint, author) VALUES (%s, %s, %s, %s)
ON CONFLICT (client_id) DO UPDATE
SET sealed = EXCLUDED.sealed, hint = EXCLUDED.hint, author = EXCLUDED.author, created_at = now()
"""
_DELETE = "DELETE FROM provider_keys WHERE client_id = %s"


class OwnKeys:
    """Stores and removes them.

    Args:
        sealer: None where this host has no secret to seal with.
    """

    def __init__(self, database: Database, store: Store, sealer: Sealer | None) -> None:
        self._database = database
        self._store = store
        self._sealer = sealer

    async def save(self, client_id: str, given: ProviderKey, author: str) -> ProviderKeyView:
        """Seal and store a key, in place of the one before.

        Raises:
            NotFound: there is no such client.
            Unavailable: this host cannot seal it.
        """
        if self._sealer is None:
            raise Unavailable("this AI service has no sealing_secret_file: it can keep no clients' keys")
        await self._store.profile(client_id)
        hint = f"…{given.key[-HINT:]}"
        sealed = self._sealer.seal(client_id, given.key)
        async with self._database.client(client_id) as connection:
            await connection.execute(_SAVE, (client_id, sealed, hint, author))
        self._store.forget_profile(client_id)
        return ProviderKeyView(own_key=True, hint=hint)

    async def delete(self, client_id: str) -> ProviderKeyView:
        """Remove the key: the operator pays again."""
        await self._store.profile(client_id)
        async with self._database.client(client_id) as connection:
            await connection.execute(_DELETE, (client_id,))
        self._store.forget_profile(client_id)
        return ProviderKeyView(own_key=False)
