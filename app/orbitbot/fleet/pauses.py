"""Pausing a client: its phone stays linked, its messages are recorded, nobody is answered."""

from orbitbot.clients import store as client_store
from orbitbot.fleet import placement_store as store
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import NotFound


class Pauses:
    """Pauses clients and lets them go on.

    Args:
        operator_database: of the role that may change clients.
    """

    def __init__(self, operator_database: Database) -> None:
        self._operators = operator_database

    async def set(self, client_id: str, *, paused: bool) -> bool:
        """Pause a client or let it go on; returns whether that is new.

        Raises:
            NotFound: there is no such client, or it is removed.
        """
        async with self._operators.transaction() as connection:
            client = await client_store.lock(connection, client_id)
            if client is None or client.state == "removed":
                raise NotFound(f"there is no client {client_id!r}")
            return await store.set_state(connection, client_id, "paused" if paused else "active")
