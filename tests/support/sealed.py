"""Bots that are started by the project's own launcher, each as a user of its own, without an installation."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.net import wait_for

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "roles/client/files/launch_bot.py"
HOSTILE = Path(__file__).with_name("hostile.py")
PYTHON = "/usr/bin/python3"  # the hosts' own
MEMORY, CPU, TASKS, FILES = 64, 20, 32, 128


class SealedBot:
    """A bot's place: directory, settings, a user that nobody else has; and the command that starts it.

    Attributes:
        user: a number without an account, so that several runs on one machine do not meet.
        state: the bot's own directory.
    """

    def __init__(self, folder: Path, client: str) -> None:
        self.client = client
        self.user = random.SystemRandom().randrange(200_000, 2_000_000_000)
        self.state = folder / "bots" / client
        self.state.mkdir(parents=True, mode=0o700)
        self.state.parent.chmod(0o711)
        os.chown(self.state, self.user, self.user)
        self.settings = folder / f"{client}.toml"
        self.settings.write_text(f'client_id = "{client}"\n')
        self.release = folder / "release"
        self.release.mkdir(exist_ok=True)
        shutil.copy(HOSTILE, self.release / "hostile.py")

    def command(
        self,
        *what: str,
        ports: tuple[int, ...] = (),
        memory: int = MEMORY,
        cpu: int = CPU,
        tasks: int = TASKS,
    ) -> list[str]:
        """The launcher's command line, with `hostile.py WHAT…` as the bot."""
        words = [PYTHON, "-I", "-S", str(LAUNCHER), "run", "--client", self.client, "--user", str(self.user)]
        words += ["--state", str(self.state), "--settings", str(self.settings)]
        words += ["--release", str(self.release), "--keep-env", "LANG", "--open-files", str(FILES)]
        words += ["--memory-mib", str(memory), "--cpu-percent", str(cpu), "--tasks", str(tasks)]
        words += [word for port in ports for word in ("--port", str(port))]
        return [*words, "--", PYTHON, "-I", "-S", str(self.release / "hostile.py"), *what]

    def end(self) -> str:
        """What `launch-bot end` says."""
        words = [PYTHON, "-I", "-S", str(LAUNCHER), "end", "--client", self.client, "--user", str(self.user)]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout

    def processes(self) -> list[int]:
        """Every living process of the bot's user."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                status = (folder / "status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if f"\nUid:\t{self.user}\t" in status and "\nState:\tZ" not in status:
                found.append(int(folder.name))
        return sorted(found)

    def told(self, name: str, timeout: float = 30.0) -> Any:
        """A result that the hostile code wrote."""
        path = self.state / name
        self.wrote(name, timeout)
        return json.loads(path.read_text())

    def wrote(self, name: str, timeout: float = 30.0) -> None:
        """Wait until it has written a sign."""
        try:
            wait_for((self.state / name).exists, f"{self.client} writes {name}", timeout)
        except TimeoutError as error:
            log = self.state.parents[1] / f"{self.client}.log"
            raise TimeoutError(
                f"{error}; its log:\n{log.read_text()[-3000:] if log.exists() else ''}"
            ) from None


def sealed_how(log: Path) -> dict[str, Any]:
    """What the launcher said of the seal, from a bot's log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"bot sealed off"' in line]
    assert lines, log.read_text()
    last: dict[str, Any] = lines[-1]
    return last
