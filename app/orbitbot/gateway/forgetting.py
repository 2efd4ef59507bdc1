"""`orbitbot erase-contact`, and the retention that every gateway looks after once an hour."""

import asyncio
import logging
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.contracts.commands import CommandView
from orbitbot.conversations.people import People, apply_retention
from orbitbot.fleet.commands import CommandService
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import OrbitBotError
from orbitbot.foundation.live import Live
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.redis import redis_client, redis_pool
from orbitbot.foundation.settings import load_settings
from orbitbot.gateway.settings import GatewaySettings

EVERY: Final = 3600.0  # seconds
AUTHOR: Final = "command:erase-contact"
LOOK: Final = 0.5  # seconds between looks at what the bot says
EXIT_BOT_AWAY: Final = 3

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


def main(client_id: str, contact: str, settings_path: Path, *, wait: float) -> int:
    """Erase a contact and print what was erased, as JSON.

    Args:
        wait: seconds that the bot is given to forget the contact, too.

    Returns:
        1 if anything remained or the bot could not forget; 3 if it has not said so by then.

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
            redis = redis_client(pool)
            commands = CommandService(database, Live(redis))
            erased = await People(database, redis, commands).erase(client_id, contact, AUTHOR)
            bot = await _outcome(commands, client_id, erased.bot_command, wait)
        finally:
            await database.close()
            await pool.disconnect()
        said = msgspec.to_builtins(erased) | {"bot": bot.state, "botDetail": bot.detail}
        print(msgspec.json.format(msgspec.json.encode(said)).decode())  # noqa: T201  (a command's output)
        if erased.remaining or bot.state not in {"pending", "done"}:
            return 1
        return EXIT_BOT_AWAY if bot.state == "pending" else 0

    return asyncio.run(erase())


async def _outcome(commands: CommandService, client_id: str, command_id: int, wait: float) -> CommandView:
    """The command, once the bot has carried it out or `wait` seconds are over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while True:
        command = await commands.read(client_id, command_id)
        if command.state != "pending" or loop.time() >= deadline:
            return command
        await asyncio.sleep(LOOK)
