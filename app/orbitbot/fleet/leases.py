"""Which host may run a client's bot: a generation.

It rises only when the old host is known to be stopped.
"""

import re
from typing import Final

from orbitbot.contracts.lease import Lease, TakeLease
from orbitbot.fleet import store
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import Conflict, InvalidInput, NotFound

_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


def check_host(name: str) -> str:
    """The name, if a host can have it.

    Raises:
        InvalidInput: it cannot.
    """
    if not _HOST.fullmatch(name):
        raise InvalidInput("host", "must be a host's name of 1 to 253 letters, digits, '.', '-' and '_'")
    return name


class Leases:
    """Gives leases.

    Args:
        operator_database: of the role that may change clients.
    """

    def __init__(self, operator_database: Database) -> None:
        self._operators = operator_database

    async def take(self, client_id: str, wanted: TakeLease) -> Lease:
        """The lease of `wanted.host`: the one that it has, the first, or one that ends the old host's.

        Raises:
            InvalidInput: no host can have this name.
            NotFound: there is no such client.
            Conflict: another host has it and may still be running the bot.
        """
        check_host(wanted.host)
        async with self._operators.transaction() as connection:
            present = await store.lock_lease(connection, client_id)
            if present is None:
                raise NotFound(f"there is no client {client_id!r}")
            if present.host == wanted.host and present.generation > 0:
                return present
            if present.host and not wanted.old_host_is_stopped:
                raise Conflict(
                    f"client {client_id!r} runs on {present.host}: stop its bot there first, and say so"
                    " with oldHostIsStopped"
                )
            lease = Lease(host=wanted.host, generation=present.generation + 1, changed=True)
            await store.write_lease(connection, client_id, lease)
            return lease
