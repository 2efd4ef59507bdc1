"""What all clients share: settings and a personality for whoever has not chosen otherwise."""

import logging
from typing import Any, Final

import msgspec

from orbitbot.clients.configurations import merge
from orbitbot.clients.models import Configuration
from orbitbot.contracts.commands import RefreshSettings
from orbitbot.contracts.configure import Configure
from orbitbot.contracts.fleet import SharedConfiguration, SharedConfigurationView
from orbitbot.fleet import placement_store as store
from orbitbot.fleet.commands import OrdersToAll
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.text import check_strings

# What says who a business is, or decides about its money, is each client's own.
OWN: Final = frozenset({"business", "faq", "plugins", "vocabulary"})

log = logging.getLogger(__name__)


class SharedConfigurations:
    """Reads and changes what all clients share.

    Args:
        operator_database: of the role that may change it.
    """

    def __init__(self, operator_database: Database, orders: OrdersToAll) -> None:
        self._operators = operator_database
        self._orders = orders

    async def read(self) -> SharedConfigurationView:
        """What is in force."""
        async with self._operators.transaction() as connection:
            version, personality, settings = await store.shared(connection)
        return SharedConfigurationView(version, personality, settings)

    async def change(self, wanted: SharedConfiguration, *, author: str) -> SharedConfigurationView:
        """Merge `wanted` in; a difference is a new version, which every running bot fetches now.

        Raises:
            InvalidInput: a setting that does not exist, is each client's own, or has a value that is not
                allowed; names it.
        """
        check_strings(wanted)
        for name in sorted(OWN & (wanted.settings or {}).keys()):
            raise InvalidInput(f"settings.{name}", "is each client's own, and cannot be shared")
        async with self._operators.transaction() as connection:
            version, personality, settings = await store.shared(connection, lock=True)
            after = merge(
                Configuration(version, personality, settings),
                Configure(personality=wanted.personality, settings=wanted.settings),
            )
            chosen: dict[str, Any] = msgspec.to_builtins(after.chosen)
            if (after.personality, chosen) == (personality, settings):
                return SharedConfigurationView(version, personality, settings)
            await store.share(connection, after.version, after.personality, chosen, author)
        told = await self._orders.give(RefreshSettings(), author=author)
        log.info(
            "shared configuration changed",
            extra={"by": author, "action": "share", "version": after.version, "told": told},
        )
        return SharedConfigurationView(after.version, after.personality, chosen, changed=True, told=told)
