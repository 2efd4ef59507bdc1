"""A private supervisord for a test: Debian's package, with its configuration and socket in one directory."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support.net import wait_for

MAIN_FILE = """\
[unix_http_server]
file={directory}/supervisor.sock
[supervisord]
logfile={directory}/supervisord.log
pidfile={directory}/supervisord.pid
childlogdir={directory}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{directory}/supervisor.sock
[include]
files = {directory}/conf.d/*.conf
"""


class Supervisor:
    """A supervisord of its own.

    Attributes:
        directory: where everything of it lies; keep its path short, it holds a Unix socket.
        programs: the folder of its program files, one section each.
        socket: where its XML-RPC is served.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.programs = directory / "conf.d"
        self.socket = directory / "supervisor.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until its socket is there.

        Raises:
            FileNotFoundError: supervisor is not installed; says what to do.
        """
        binary = shutil.which("supervisord")
        if binary is None:
            raise FileNotFoundError("these tests need Debian's package `supervisor`: run `make test`")
        self.programs.mkdir(parents=True, exist_ok=True)
        main_file = self.directory / "supervisord.conf"
        main_file.write_text(MAIN_FILE.format(directory=self.directory))
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [binary, "--nodaemon", "--configuration", str(main_file)],
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.socket.exists, "supervisord's socket")

    def program(self, name: str, command: str, *, more: str = "") -> Path:
        """Write the file of a program; `more` are further lines of its section."""
        path = self.programs / f"{name}.conf"
        path.write_text(
            f"[program:{name}]\ncommand={command}\nstartsecs=0\nredirect_stderr=true\n"
            f"stdout_logfile={self.directory}/{name}.log\n{more}\n"
        )
        return path

    def running(self) -> dict[str, int]:
        """Name → pid of every program that runs, as supervisord says."""
        control = shutil.which("supervisorctl") or "supervisorctl"
        arguments = [control, "--configuration", str(self.directory / "supervisord.conf"), "status"]
        said = subprocess.run(arguments, capture_output=True, text=True, check=False).stdout
        rows = [line.split() for line in said.splitlines()]
        return {row[0]: int(row[3].rstrip(",")) for row in rows if row[1] == "RUNNING"}

    def kill(self) -> None:
        """Kill supervisord alone, as a crash would; its children are left to themselves."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    def stop(self) -> None:
        """Stop it and every program."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
            self._process.wait(timeout=30)
