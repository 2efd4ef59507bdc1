"""What the bot has sent, read from the simulator's outbox for all contacts at once."""

import os
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.bot.channels.simulator import SimulatorSent

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def turn_of(sent: SimulatorSent) -> str:
    """The turn whose answer (or part of one) this message is."""
    return sent.id.rpartition("-")[0]


class Outbox:
    """Gives each message once. What lies there already counts as seen.

    Root reads it although it belongs to the bot's own user, so no link is followed.
    """

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / "simulator" / "outbox"
        self._seen = set(self._names())

    def new(self) -> list[SimulatorSent]:
        """Messages sent since the last call, oldest first."""
        names = [name for name in self._names() if name not in self._seen]
        self._seen.update(names)
        sent = [msgspec.json.decode(self._read(name), type=SimulatorSent) for name in names]
        return sorted(sent, key=lambda each: (each.sent_at, each.part))

    def _names(self) -> list[str]:
        directory = os.open(self._path, _DIRECTORY)
        try:
            names = os.listdir(directory)  # noqa: PTH208  (pathlib lists no open directory)
        finally:
            os.close(directory)
        return [name for name in names if name.endswith(".json") and not name.startswith(".")]

    def _read(self, name: str) -> bytes:
        directory = os.open(self._path, _DIRECTORY)
        try:
            descriptor = os.open(name, _FILE, dir_fd=directory)
        finally:
            os.close(directory)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()
