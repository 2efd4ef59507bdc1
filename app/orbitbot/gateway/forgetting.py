"""`orbitbot erase-contact`, and the retention that every gateway looks after once an hour."""

import asyncio
import logging
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.conversations.people import People, apply_retention
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import OrbitBotError
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.redis import redis_client, redis_pool
from orbitbot.foundation.settings import load_settings
from orbitbot.gateway.settings import GatewaySettings

EVERY: Final = 3600.0  # seconds
AUTHOR: Final = "command:erase-contact"

log = logging.getLogger(__name__)


async def keep_forgetting(operators: Database) -> None:
    """Apply clients' retention for ever; one worker of the fleet does it, the others see that it is done."""
    while True:
        try:
            done = await apply_retention(operators)
        except OrbitBotError as error:
            log.warning("retention waits: %s", error.detail, extra={"action": "retention"})
        else:
            for client_id, count in done.items():
                log.info("retention", extra={"client_id": client_id, "rows": count, "action": "retention"})
        await asyncio.sleep(EVERY)


def main(client_id: str, contact: str, settings_path: Path) -> int:
    """Erase a contact and print what was erased, as JSON. Returns 1 if anything remained.

    Raises:
        SettingsError, InvalidInput, NotFound, Conflict, Unavailable: nothing was erased.
    """
    settings = load_settings(settings_path, GatewaySettings)
    check_client_id(client_id)

    async def erase() -> int:
        database = Database(settings.database, "erase-contact")
        pool = redis_pool(settings.redis_url, settings.redis_password_file)
        await database.open()
        try:
            erased = await People(database, redis_client(pool)).erase(client_id, contact, AUTHOR)
        finally:
            await database.close()
            await pool.disconnect()
        print(msgspec.json.format(msgspec.json.encode(erased)).decode())  # noqa: T201  (a command's output)
        return 1 if erased.remaining else 0

    return asyncio.run(erase())
