"""Contacts of a bot on the simulator channel, which write to it wherever it runs, each of them once.

A message goes to the host on which the bot runs. What is written while the bot is on the way waits, as at
WhatsApp, and is delivered where it arrives: a simulated telephone is a folder in the bot's own state.
"""

import json
import random
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from tests.fleet.site import Site
from tests.support.net import wait_for

TEXT: Final = "Qual o horario de funcionamento?"
PAUSE: Final = 0.5  # seconds between two contacts
PATIENCE: Final = 120.0  # seconds
PYTHON: Final = "/opt/orbitbot/current/venv/bot/bin/python"
# Writes a message for each line of standard input: contact, message's id, text; and says when it is there.
_WRITE: Final = """
import sys
from pathlib import Path
from orbitbot.bot.channels.simulator_phone import SimulatorPhone
for line in sys.stdin:
    number, message_id, text = line.rstrip().split(" ", 2)
    SimulatorPhone(Path(sys.argv[1]), number).text(text, message_id=message_id)
    print(message_id, flush=True)
"""
_READ: Final = """
import json, sys
from pathlib import Path
told = []
for path in Path(sys.argv[1], "simulator/outbox").glob("*.json"):
    sent = json.loads(path.read_bytes())
    told.append([sent["to"], sent["id"].rpartition("-")[0], sent["part"] == sent["parts"]])
print(json.dumps(told))
"""


class _Pen:
    """Writes on one host."""

    def __init__(self, site: Site, host: str, folder: str) -> None:
        self._process = subprocess.Popen(
            site.fleet.ssh_command(host, f"{PYTHON} -c '{_WRITE}' {folder}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def write(self, number: str, message_id: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{number} {message_id} {TEXT}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == message_id, "the message could not be delivered"

    def close(self) -> None:
        with self._process:
            self._process.terminate()


@dataclass
class Contacts:
    """They write until the block ends.

    Args:
        host: on which the bot runs; empty while it is on the way.
        series: other contacts for each block, also on a fleet that is kept.

    Attributes:
        written: the messages' ids, in order; each is of a contact of its own.
    """

    site: Site
    client: str
    host: str
    series: int = field(default_factory=lambda: random.randrange(10**5))
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._folder = f"/var/lib/orbitbot/bots/{self.client}"
        self._waiting: list[str] = []
        self._pens: dict[str, _Pen] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write_all)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for pen in self._pens.values():
            pen.close()

    def leave(self) -> None:
        """The bot is about to be stopped: from when this returns nothing is delivered any more."""
        with self._lock:
            self.host = ""

    def arrive(self, host: str) -> None:
        """The bot runs there: what waited is delivered."""
        with self._lock:
            self.host = host
            for message_id in self._waiting:
                self._deliver(message_id)
            self._waiting.clear()

    def wait_for_more(self, count: int) -> None:
        """Until so many more have written."""
        wanted = len(self.written) + count
        wait_for(lambda: len(self.written) >= wanted, f"{count} more messages", PATIENCE)

    def assert_each_was_answered_once(self, host: str) -> None:
        """Everybody has a whole answer, and nobody two; looks into the outbox, which moves with the bot."""
        numbers = {self._number(each) for each in self.written}

        def turns() -> dict[str, set[str]]:
            told = self.site.fleet.ssh(host, f"{PYTHON} -c '{_READ}' {self._folder}")
            found: dict[str, set[str]] = {}
            for number, turn, last in json.loads(told):
                if last and number in numbers:
                    found.setdefault(number, set()).add(turn)
            return found

        wait_for(lambda: turns().keys() == numbers, "everybody's answer", PATIENCE)
        answers = Counter(len(each) for each in turns().values())
        assert answers == {1: len(numbers)}, "somebody was answered twice"

    def _number(self, message_id: str) -> str:
        return f"55{self.series:05}{message_id.rpartition('-')[2]:>04}"

    def _write_all(self) -> None:
        while not self._over.is_set():
            with self._lock:
                message_id = f"{self.client}-{self.series}-{len(self.written)}"
                if self.host:
                    self._deliver(message_id)
                else:
                    self._waiting.append(message_id)
                self.written.append(message_id)
            self._over.wait(PAUSE)

    def _deliver(self, message_id: str) -> None:
        if self.host not in self._pens:
            self._pens[self.host] = _Pen(self.site, self.host, self._folder)
        self._pens[self.host].write(self._number(message_id), message_id)
