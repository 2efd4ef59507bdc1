"""The neonize channel in a process of its own, spoken to over two sockets: one client per process is all that
neonize bears, and a test wants to kill it.

    python -m tests.integration.bot.channel_host DIRECTORY COMMANDS_FD EVENTS_FD

`HostedChannel` is the test's end: a `Channel` like any other.
"""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

from orbitbot.bot.channels.channel import (
    Channel,
    Fate,
    MediaGone,
    MediaUnavailable,
    NotPossible,
    NotSent,
    Observer,
    Outbound,
    OutreachLocked,
    Receive,
    Undeliverable,
    UnusableEvent,
)
from orbitbot.bot.channels.neonize_library import ensure_environment
from orbitbot.bot.journal import JournalUnavailable
from orbitbot.bot.models import InboundEvent
from orbitbot.contracts.bot import BotState
from orbitbot.contracts.pairing import PairingEvent

_ERRORS = {
    each.__name__: each
    for each in (
        MediaGone,
        MediaUnavailable,
        NotPossible,
        NotSent,
        OutreachLocked,
        Undeliverable,
        UnusableEvent,
        JournalUnavailable,
    )
}
TIMEOUT = 60.0  # seconds


class Told(msgspec.Struct, omit_defaults=True):
    """One line from the host: an event to take, or news for the observer."""

    event: InboundEvent | None = None
    state: tuple[BotState, str, float | None] | None = None
    account: tuple[str, str, float | None] | None = None
    pairing: PairingEvent | None = None
    receipt: tuple[list[str], Literal["delivered", "read"]] | None = None


class HostedChannel:
    """A neonize channel in another process.

    Attributes:
        pid: of that process, once started.
    """

    idempotent_send = False
    acknowledges_early = True

    def __init__(
        self, directory: Path, environment: dict[str, str], pace: dict[str, float] | None = None
    ) -> None:
        self.pid = 0
        self._directory = directory
        self._environment = environment | {"ORBITBOT_TEST_PACE": msgspec.json.encode(pace or {}).decode()}
        self._process: subprocess.Popen[bytes] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._commands: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def start(self, receive: Receive, observer: Observer) -> None:
        """Start the process and its channel."""
        (own_commands, commands), (own_events, events) = socket.socketpair(), socket.socketpair()
        self._process = subprocess.Popen(  # noqa: ASYNC220  (it is waited for in a thread)
            [
                sys.executable,
                "-m",
                "tests.integration.bot.channel_host",
                str(self._directory),
                str(commands.fileno()),
                str(events.fileno()),
            ],
            env=os.environ | self._environment,
            pass_fds=(commands.fileno(), events.fileno()),
        )
        self.pid = self._process.pid
        commands.close()
        events.close()
        self._commands = await asyncio.open_connection(sock=own_commands)
        reader, writer = await asyncio.open_connection(sock=own_events, limit=1 << 22)
        self._tasks.append(asyncio.create_task(self._listen(reader, writer, receive, observer)))

    async def stop(self) -> None:
        """Stop the channel, and with it the process."""
        if self._process is None:
            return
        await self._ask("stop")
        await self._end()

    async def supervise(self, receive: Receive, observer: Observer) -> None:
        """As supervisor does: start the process again whenever it ends by itself, until cancelled."""
        while True:
            if self._process is not None and self._process.poll() is not None:
                await self._end()
                await self.start(receive, observer)
            await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            await self._end()

    async def send(self, message: Outbound) -> str:
        return str(await self._ask("send", msgspec.to_builtins(message)))

    async def mark_read(self, chat: str) -> None:
        await self._ask("mark_read", chat)

    async def has_account(self, number: str) -> bool:
        return bool(await self._ask("has_account", number))

    async def fate(self, message: Outbound, since: float) -> Fate:
        told: Fate = await self._ask("fate", [msgspec.to_builtins(message), since])
        return told

    async def typing(self, chat: str, *, active: bool) -> None:
        await self._ask("typing", [chat, active])

    async def fetch_media(self, source: bytes, target: Path) -> None:
        await self._ask("fetch_media", [source.hex(), str(target)])

    async def pair(self) -> None:
        await self._ask("pair")

    async def request_phone_code(self, number: str) -> None:
        await self._ask("request_phone_code", number)

    async def log_out(self) -> None:
        await self._ask("log_out")

    async def _ask(self, name: str, argument: Any = None) -> Any:
        if self._commands is None:
            raise NotSent("the channel's process does not run")
        reader, writer = self._commands
        async with self._one_at_a_time, asyncio.timeout(TIMEOUT):
            writer.write(msgspec.json.encode([name, argument]) + b"\n")
            answer = msgspec.json.decode(await reader.readline())
        returned, error = answer
        if error:
            kind, detail = error
            raise _ERRORS.get(kind, RuntimeError)(detail)
        return returned

    async def _listen(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receive: Receive, observer: Observer
    ) -> None:
        try:
            while line := await reader.readline():
                told = msgspec.json.decode(line, type=Told)
                if told.event is not None:
                    writer.write(_verdict(receive, told.event).encode() + b"\n")
                elif told.state is not None:
                    state, reason, until = told.state
                    observer.set_state(state, reason, until=until)
                elif told.account is not None:
                    number, lid, seen_at = told.account
                    observer.set_account(number, lid=lid, phone_seen_at=seen_at)
                elif told.pairing is not None:
                    observer.pairing(told.pairing)
                elif told.receipt is not None:
                    observer.receipt(*told.receipt)
        finally:
            writer.close()

    async def _end(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        await asyncio.to_thread(process.wait, 20)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._commands is not None:
            self._commands[1].close()
            self._commands = None
        self._tasks.clear()


def _verdict(receive: Receive, event: InboundEvent) -> str:
    try:
        receive(event)
    except JournalUnavailable:
        return "JournalUnavailable"
    except UnusableEvent:
        return "UnusableEvent"
    except Exception:  # noqa: BLE001  (the mistake that the test makes)
        return "RuntimeError"
    return "taken"


# The host's end


class _Reporter:
    """The observer and the receiver, as far as the host has them: a socket."""

    def __init__(self, events: socket.socket) -> None:
        self._events = events
        self._answers = events.makefile("rb")

    def tell(self, told: Told) -> None:
        self._events.sendall(msgspec.json.encode(told) + b"\n")

    def set_state(self, state: BotState, reason: str = "", *, until: float | None = None) -> None:
        self.tell(Told(state=(state, reason, until)))

    def set_account(self, number: str, *, lid: str = "", phone_seen_at: float | None = None) -> None:
        self.tell(Told(account=(number, lid, phone_seen_at)))

    def pairing(self, event: PairingEvent) -> None:
        self.tell(Told(pairing=event))

    def receipt(self, message_ids: list[str], state: Literal["delivered", "read"]) -> None:
        self.tell(Told(receipt=(message_ids, state)))

    def receive(self, event: InboundEvent) -> None:
        self.tell(Told(event=event))
        verdict = self._answers.readline().decode().strip()
        if verdict != "taken":
            raise _ERRORS.get(verdict, RuntimeError)(verdict or "the test has gone")


async def _serve(directory: Path, commands: socket.socket, events: socket.socket) -> None:
    from orbitbot.bot.channels.neonize import NeonizeChannel, Pace  # noqa: PLC0415

    reporter = _Reporter(events)
    pace = msgspec.json.decode(os.environ["ORBITBOT_TEST_PACE"], type=Pace)
    channel: Channel = NeonizeChannel(directory, pace)
    await channel.start(reporter.receive, reporter)
    reader, writer = await asyncio.open_connection(sock=commands)
    while line := await reader.readline():
        name, argument = msgspec.json.decode(line)
        returned, failure = None, None
        try:
            match name:
                case "send":
                    returned = await channel.send(msgspec.convert(argument, Outbound))
                case "fate":
                    returned = await channel.fate(msgspec.convert(argument[0], Outbound), argument[1])
                case "mark_read":
                    await channel.mark_read(argument)
                case "has_account":
                    returned = await channel.has_account(argument)
                case "typing":
                    await channel.typing(argument[0], active=argument[1])
                case "fetch_media":
                    await channel.fetch_media(bytes.fromhex(argument[0]), Path(argument[1]))
                case "request_phone_code":
                    await channel.request_phone_code(argument)
                case _:
                    await getattr(channel, name)()
        except Exception as error:  # noqa: BLE001  (told to the test)
            failure = [type(error).__name__, str(error)]
        writer.write(msgspec.json.encode([returned, failure]) + b"\n")
        await writer.drain()
        if name == "stop":
            os._exit(0)  # as `orbitbot bot` does when neonize's threads do not end


def main() -> None:
    """Run until told to stop, or until the test has gone."""
    os.umask(0o077)
    ensure_environment()
    directory, commands, events = sys.argv[1:]
    asyncio.run(
        _serve(Path(directory), socket.socket(fileno=int(commands)), socket.socket(fileno=int(events)))
    )


if __name__ == "__main__":
    main()
