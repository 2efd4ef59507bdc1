"""Carries out what the gateway tells the bot to do, and acknowledges each."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.channels.channel import Channel
from orbitbot.bot.gateway import GatewayAway, GatewayRefused
from orbitbot.contracts.commands import (
    Command,
    CommandResult,
    ForgetContact,
    LogOut,
    Order,
    Pair,
    PhoneCode,
    RefreshSettings,
    Restart,
    SendMessage,
)
from orbitbot.foundation.errors import OrbitBotError

LONGEST_ORDER: Final = 60.0  # seconds; WhatsApp lets a phone code wait for half a minute
LEAST_PAUSE: Final = 0.5  # seconds between requests that are answered at once with nothing

log = logging.getLogger(__name__)


class CommandSource(Protocol):
    """Where commands come from: the gateway."""

    async def next_commands(self) -> list[Command]: ...

    async def finish_command(self, command_id: int, result: CommandResult) -> None: ...


class CommandLoop:
    """Takes commands one after the other, oldest first.

    Args:
        on_restart: ends this process; called once the restart is acknowledged, so that the next process is
            not told to restart again.
        on_refresh: fetches the settings.
        on_forget: takes a contact out of the journal and the media.
        on_send: keeps a message to send, with the Unix time after which it is not to be sent any more.
    """

    def __init__(
        self,
        source: CommandSource,
        channel: Channel,
        *,
        on_restart: Callable[[], None],
        on_refresh: Callable[[], None],
        on_forget: Callable[[str], None],
        on_send: Callable[[SendMessage, float], None],
        retry_ceiling: float = 15.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._channel = channel
        self._on_restart = on_restart
        self._on_refresh = on_refresh
        self._on_forget = on_forget
        self._on_send = on_send
        self._retry_ceiling = retry_ceiling
        self._now = now
        self._done: dict[int, CommandResult] = {}  # carried out, and not acknowledged for certain

    async def run(self) -> None:
        """Carry out commands for ever."""
        backoff = Backoff(self._retry_ceiling)
        while True:
            began = asyncio.get_running_loop().time()
            try:
                commands = await self._source.next_commands()
                for command in commands:
                    await self._take(command)
                self._done.clear()  # the gateway has heard of every one
                backoff.reset()
                took = asyncio.get_running_loop().time() - began
                pause = 0.0 if commands else max(0.0, LEAST_PAUSE - took)
            except (GatewayAway, GatewayRefused) as error:
                retry_after = error.retry_after if isinstance(error, GatewayAway) else None
                pause = backoff.next(retry_after)
                log.warning("no commands", extra={"reason": str(error), "pause": pause, "action": "commands"})
            await asyncio.sleep(pause)

    async def _take(self, command: Command) -> None:
        result = self._done.get(command.id)
        order = _decoded(command)
        if result is None:
            result = await self._carry_out(command, order)
            self._done[command.id] = result
        await self._source.finish_command(command.id, result)
        if isinstance(order, Restart) and result.state == "done":
            self._on_restart()

    async def _carry_out(self, command: Command, order: Order | None) -> CommandResult:
        name = "unknown" if order is None else type(order).__name__
        facts = {"command": command.id, "kind": name, "action": "command"}
        if order is None:
            log.warning("a command of an unknown kind", extra=facts)
            return CommandResult("failed", "this release does not know this command")
        if self._now() >= command.expires_at:
            return CommandResult("failed", "it had expired")
        try:
            async with asyncio.timeout(LONGEST_ORDER):
                await self._action(order, command)
        except TimeoutError:
            result = CommandResult("failed", f"it took longer than {LONGEST_ORDER:.0f} s")
        except OrbitBotError as error:
            result = CommandResult("failed", error.detail)
        except Exception as error:  # whatever a channel's library raises
            log.exception("a command broke off", extra=facts)
            result = CommandResult("failed", f"{type(error).__name__}: {error}"[:500])
        else:
            result = CommandResult("done")
        log.info("command carried out", extra={**facts, "state": result.state, "reason": result.detail})
        return result

    def _action(self, order: Order, command: Command) -> Awaitable[None]:
        match order:
            case Pair():
                return self._channel.pair()
            case PhoneCode(number):
                return self._channel.request_phone_code(number)
            case LogOut():
                return self._channel.log_out()
            case RefreshSettings():
                self._on_refresh()
            case ForgetContact(contact):
                self._on_forget(contact)
            case SendMessage():
                self._on_send(order, command.expires_at)
        return asyncio.sleep(0)


def _decoded(command: Command) -> Order | None:
    """What is ordered; None for what this release does not know."""
    try:
        order: Order = msgspec.json.decode(command.order, type=Order)
    except msgspec.ValidationError:
        return None
    return order
