"""The contact's side of the simulator channel: drops messages, collects answers.

Root uses it on directories that belong to a bot's own user, so no link in them is ever followed.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.bot.channels.simulator import SimulatorMessage, SimulatorSent
from orbitbot.bot.models import EventKind
from orbitbot.foundation.errors import OrbitBotError

POLL: Final = 0.05  # seconds between looks at the outbox
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NoAnswer(OrbitBotError):
    """The deadline passed before the answers were complete."""

    problem = "no-answer"
    title = "No answer came in time"


class SimulatorPhone:
    """A contact's telephone, connected to one bot's simulator.

    Args:
        state_directory: the bot's.
        number: the contact's, as the bot sees it.
    """

    def __init__(self, state_directory: Path, number: str) -> None:
        self._state_directory = state_directory
        self.number = number

    def text(
        self,
        text: str,
        *,
        message_id: str = "",
        sent_at: float | None = None,
        group: str = "",
        kind: EventKind = "message",
    ) -> str:
        """Send a text; returns the message's id. The same id again is a redelivery.

        Args:
            sent_at: by the channel's clock, Unix seconds; now where it is left out.
            group: id of the group that it is written to, instead of to the bot alone.
        """
        return self.drop(
            SimulatorMessage(
                id=message_id or uuid.uuid4().hex,
                from_=self.number,
                chat=group or self.number,
                type="text",
                text=text,
                sent_at=time.time() if sent_at is None else sent_at,
                group=bool(group),
                kind=kind,
            )
        )

    def voice(self, note: bytes, *, message_id: str = "", sent_at: float | None = None) -> str:
        """Send a voice note (the content of an OGG/Opus file); returns the message's id."""
        message_id = message_id or uuid.uuid4().hex
        name = f"{uuid.uuid4().hex}.ogg"
        with self._directory("media") as media:
            write_new(media, name, note)
        return self.drop(
            SimulatorMessage(
                id=message_id,
                from_=self.number,
                chat=self.number,
                type="voice",
                media=name,
                sent_at=time.time() if sent_at is None else sent_at,
            )
        )

    def edit(self, message_id: str, text: str) -> str:
        """Change a message of one's own; an empty text takes it back. Returns the id of the change."""
        return self.drop(
            SimulatorMessage(
                id=uuid.uuid4().hex,
                from_=self.number,
                type="text",
                text=text,
                sent_at=time.time(),
                kind="edit" if text else "deletion",
                target=message_id,
            )
        )

    def received(self) -> list[SimulatorSent]:
        """Every message that the bot has sent to this number, oldest first."""
        messages = []
        with self._directory("outbox") as outbox:
            for name in os.listdir(outbox):  # noqa: PTH208  (pathlib lists no open directory)
                if name.endswith(".json") and not name.startswith("."):
                    message = msgspec.json.decode(_read(outbox, name), type=SimulatorSent)
                    if message.to == self.number:
                        messages.append(message)
        return sorted(messages, key=lambda each: (each.sent_at, each.part))

    def wait(self, complete: Callable[[list[SimulatorSent]], bool], *, timeout: float) -> list[SimulatorSent]:
        """The messages received, as soon as they are `complete`.

        Args:
            timeout: seconds.

        Raises:
            NoAnswer: they were not complete in time; the error says how many there were.
        """
        deadline = time.monotonic() + timeout
        while not complete(messages := self.received()):
            if time.monotonic() > deadline:
                raise NoAnswer(f"after {timeout:g} s {self.number} has {len(messages)} messages")
            time.sleep(POLL)
        return messages

    def drop(self, message: SimulatorMessage) -> str:
        """Send any message; returns its id."""
        # The name orders the inbox: a number sees its own messages taken in the order it sent them.
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        with self._directory("inbox") as inbox:
            write_new(inbox, f".{name}.tmp", msgspec.json.encode(message))
            os.rename(f".{name}.tmp", f"{name}.json", src_dir_fd=inbox, dst_dir_fd=inbox)
        return message.id

    @contextmanager
    def _directory(self, name: str) -> Iterator[int]:
        state = os.open(self._state_directory, _DIRECTORY)
        try:
            simulator = os.open("simulator", _DIRECTORY, dir_fd=state)
            try:
                found = os.open(name, _DIRECTORY, dir_fd=simulator)
            finally:
                os.close(simulator)
        finally:
            os.close(state)
        try:
            yield found
        finally:
            os.close(found)


def write_new(directory: int, name: str, content: bytes) -> None:
    """A new file that the directory's owner can read; the directory itself is closed to everyone else."""
    descriptor = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=directory
    )
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o644)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _read(directory: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
