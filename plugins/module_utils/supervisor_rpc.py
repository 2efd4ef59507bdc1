"""Supervisor's programs over its unix socket, for modules that act on one program and touch no other."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

SOCKET = "/run/supervisor.sock"
POLL_INTERVAL = 0.1  # seconds
LOG_TAIL = 2000  # bytes of the program's log shown when it does not start
STOPPED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")
SET_ASIDE = Path("/usr/local/sbin/orbitbot-set-aside-broken-programs")  # the role `supervisor` installs it
NO_WAIT = False  # of startProcess and stopProcess
_BAD_NAME = 10  # supervisor's fault: there is no such program


class SupervisorError(Exception):
    """A program could not be brought into the state that was asked for."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost")
        self._path, self._seconds = path, timeout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__()
        self._path, self._seconds = path, timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002  (there is one socket)
        return _Connection(self._path, self._seconds)


def connect(path: str = SOCKET, timeout: float | None = None) -> Any:
    """Supervisor's RPC interface on the unix socket `path`.

    Args:
        timeout: seconds that an answer may take; None: as long as it takes.
    """
    transport = _Transport(path, timeout)
    return xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor


def reread(rpc: Any) -> tuple[list[str], list[str], list[str]]:
    """Have supervisor read its files; the groups that are new, differ and are gone.

    A file that it cannot read is set aside: it would stop the others.

    Raises:
        SupervisorError: it cannot read them, and nothing is there that sets files aside.
    """
    try:
        ((added, changed, removed),) = rpc.reloadConfig()
    except xmlrpc.client.Fault as fault:
        if not SET_ASIDE.exists():
            raise SupervisorError(
                f"supervisor cannot read its configuration files: {fault.faultString}"
            ) from fault
        subprocess.run([SET_ASIDE], capture_output=True, check=True)  # noqa: S603  (fixed words)
        ((added, changed, removed),) = rpc.reloadConfig()
    return added, changed, removed


class Supervised:
    """One program, and the group of the same name that supervisor keeps it in."""

    def __init__(self, rpc: Any, name: str) -> None:
        self._rpc = rpc
        self._name = name
        self._process = f"{name}:{name}"

    def state(self) -> str:
        """Supervisor's word for its state; empty when supervisor does not know it."""
        try:
            return str(self._rpc.getProcessInfo(self._process)["statename"])
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _BAD_NAME:
                return ""
            raise

    def differs(self) -> bool:
        """Whether supervisor runs something else than the program's file says."""
        added, changed, removed = reread(self._rpc)
        return self._name in (*added, *changed, *removed)

    def start(self, timeout: float) -> int:
        """Run it as its file says, from the beginning if need be; its process id.

        Raises:
            SupervisorError: no file defines it, or it does not start.
        """
        added, changed, _ = reread(self._rpc)
        if self._name in changed:
            self.stop(timeout)
            self._rpc.removeProcessGroup(self._name)
        if self._name in (*added, *changed):
            self._rpc.addProcessGroup(self._name)
        elif not self.state():
            raise SupervisorError(f"no file in supervisor's conf.d defines [program:{self._name}]")
        deadline = time.monotonic() + timeout
        while (info := self._rpc.getProcessInfo(self._process))["statename"] != "RUNNING":
            if info["statename"] == "FATAL" or time.monotonic() > deadline:
                raise self.failed(str(info["spawnerr"] or info["description"]))
            if info["statename"] in ("STOPPED", "EXITED"):
                self._rpc.startProcess(self._process, NO_WAIT)
            time.sleep(POLL_INTERVAL)
        return int(info["pid"])

    def stop(self, timeout: float) -> None:
        """Stop it and wait until it has ended."""
        self.begin_to_stop()
        deadline = time.monotonic() + timeout
        while self.state() not in ("", *STOPPED):
            if time.monotonic() > deadline:
                raise SupervisorError(f"{self._name} did not stop within {timeout:g} s")
            time.sleep(POLL_INTERVAL)

    def begin_to_stop(self) -> bool:
        """Tell it to stop, and do not wait; whether there was anything to stop."""
        if self.state() in ("", "STOPPING", *STOPPED):
            return False
        self._rpc.stopProcess(self._process, NO_WAIT)
        return True

    def failed(self, reason: str) -> SupervisorError:
        """An error that shows the end of the program's log."""
        try:
            tail = self._rpc.readProcessStdoutLog(self._process, -LOG_TAIL, 0)
        except xmlrpc.client.Fault:
            tail = ""
        return SupervisorError(f"{self._name} does not run: {reason}. End of its log:\n{tail}")
