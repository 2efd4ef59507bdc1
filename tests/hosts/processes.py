"""Processes by identity: a pid alone may have been given to another process since it was written down."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from tests.hosts.command import HostsError

_PROC = Path("/proc")
_POLL = 0.02  # seconds
_STATE, _PARENT, _START = 0, 1, 19  # fields of /proc/PID/stat after the command's name, see proc(5)


class Process(msgspec.Struct, frozen=True):
    """A process that once ran here: its pid, and when it started in clock ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has `pid` now.

        Raises:
            ProcessLookupError: there is none.
        """
        fields = _stat(pid)
        if fields is None:
            raise ProcessLookupError(pid)
        return cls(pid, int(fields[_START]))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[_START]) == self.started and fields[_STATE] != "Z"

    @property
    def arguments(self) -> list[str]:
        """Its command line; empty once it is gone."""
        try:
            return (_PROC / str(self.pid) / "cmdline").read_text(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return []

    def signal(self, number: int) -> None:
        """Send a signal, unless the process is gone."""
        if self.alive:
            send(self.pid, number)

    def children(self) -> list["Process"]:
        """Its children that run, by pid."""
        found = []
        for pid in pids():
            fields = _stat(pid)
            if fields and int(fields[_PARENT]) == self.pid and fields[_STATE] != "Z":
                found.append(Process(pid, int(fields[_START])))
        return found


def pids() -> list[int]:
    """Every pid, ascending."""
    return sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def with_argument(argument: str) -> list[Process]:
    """Every process whose command line has exactly this argument, by pid."""
    found = []
    for pid in pids():
        fields = _stat(pid)
        if fields:
            process = Process(pid, int(fields[_START]))
            if argument in process.arguments:
                found.append(process)
    return found


def start_detached(command: Sequence[str | Path], output: BinaryIO) -> None:
    """Start a process that outlives this one, as a child of PID 1, with standard output and error to a file.

    Raises:
        HostsError: it could not be started.
    """
    try:
        subprocess.run(
            ["setsid", "--fork", *(str(part) for part in command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise HostsError(f"{command[0]} could not be started") from error


def send(pid: int, number: int) -> None:
    """Send a signal to `pid`; one that has just ended is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def kill_all(members: Callable[[], Iterable[int]], what: str, timeout: float) -> None:
    """Send SIGKILL to every pid that `members()` lists until it lists none.

    Raises:
        HostsError: something is left after `timeout` seconds.
    """

    def none_left() -> bool:
        left = list(members())
        for pid in left:
            send(pid, signal.SIGKILL)
        return not left

    wait_until(none_left, f"the end of every process of {what}", timeout)


def wait_until(condition: Callable[[], object], what: str, timeout: float) -> None:
    """Poll until `condition()` is true.

    Raises:
        HostsError: it was not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise HostsError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(_POLL)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()  # the command's name may hold blanks and parentheses
