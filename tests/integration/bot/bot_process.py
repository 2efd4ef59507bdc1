"""A real bot process in a directory of its own, to be spoken to, stopped and killed."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from orbitbot.bot.channels.simulator_phone import SimulatorPhone

ORBITBOT = str(Path(sys.executable).parent / "orbitbot")


class Gateway(Protocol):
    """Which gateway a bot talks to, and what opens it."""

    client_id: str

    @property
    def url(self) -> str: ...

    @property
    def credential(self) -> Mapping[str, str]: ...


class BotProcess:
    """`orbitbot bot` with its state under `directory`.

    Attributes:
        log: what every process of this bot has written to standard error.
    """

    def __init__(
        self,
        directory: Path,
        gateway: Gateway,
        channel: str = "simulator",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = os.environ | (environment or {})
        self.state = directory / "state"
        self.state.mkdir(mode=0o700)
        self.settings_file = directory / "padaria.toml"
        self.log = directory / "bot.log"
        self.log.touch()
        credential = self.state / "credential.json"
        credential.write_text(json.dumps(dict(gateway.credential)))
        self.settings_file.write_text(
            f'client_id = "{gateway.client_id}"\n'
            f'channel = "{channel}"\n'
            f'gateway_url = "{gateway.url}"\n'
            f'state_directory = "{self.state}"\n'
            f'credential_file = "{credential}"\n'
            "request_timeout_seconds = 2.0\n"
            "retry_ceiling_seconds = 0.5\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    @property
    def command(self) -> list[str]:
        """The command line that supervisor uses."""
        return [ORBITBOT, "bot", "--settings", str(self.settings_file)]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, before_exec: Callable[[], None] | None = None) -> None:
        """Start it; returns at once."""
        self._starts = self._count_starts()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stderr=log,
                env=self._environment,
                preexec_fn=before_exec,  # noqa: PLW1509
            )

    def has_started(self) -> bool:
        """Whether the process started last has said that it runs."""
        return self._count_starts() > self._starts

    def _count_starts(self) -> int:
        return self.log.read_bytes().count(b'"message":"bot started"')

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, wherever it is."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self, timeout: float = 5.0) -> int:
        """SIGTERM; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def wait(self, timeout: float = 10.0) -> int:
        """Wait for it to end by itself; returns the exit status."""
        assert self._process is not None
        return self._process.wait(timeout)

    def clean_up(self) -> None:
        """End it, whatever state it is in."""
        if self.is_running():
            self.kill()

    def phone(self, number: str) -> SimulatorPhone:
        return SimulatorPhone(self.state, number)

    def make_directories(self) -> None:
        """What the first start makes, so that phones may speak before it."""
        for name in ("inbox", "media", "outbox"):
            (self.state / "simulator" / name).mkdir(parents=True, exist_ok=True)

    def journal(self, query: str) -> list[tuple[object, ...]]:
        """Ask the journal, while the bot runs or not; no rows as long as there is no journal."""
        if not (self.state / "journal.db").exists():
            return []
        connection = sqlite3.connect(self.state / "journal.db")
        try:
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                return []
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def inbox(self) -> list[str]:
        """Messages that the bot has not taken."""
        return sorted(path.name for path in (self.state / "simulator/inbox").glob("*.json"))

    def memory(self) -> dict[str, int]:
        """KiB by name, from the kernel's own roll-up (`Rss`, `Pss`, `Private_Dirty` …)."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", rollup, re.MULTILINE)}


def process_exists(pid: int) -> bool:
    """Whether there is such a process, zombies not counted."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def kill_if_there(pid: int) -> None:
    """SIGKILL, if the process is still there."""
    if process_exists(pid):
        os.kill(pid, signal.SIGKILL)
