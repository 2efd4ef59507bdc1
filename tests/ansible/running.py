"""Runs playbooks and single actions of this repository as an operator does."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ansible.conftest import REPOSITORY

BINARIES = Path(sys.executable).parent
INVENTORY = REPOSITORY / "inventory/local"
_RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What a run of Ansible came to: exit status and everything it printed."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        """Changes on all hosts together."""
        return sum(int(count) for _, count in _RECAP.findall(self.output))

    def require_changes(self, count: int) -> None:
        """Fail, with the output, unless exactly so many tasks changed something."""
        assert self.changed == count, self.output

    def require_success(self) -> "Run":
        """This run, if it succeeded; its output is the error if not."""
        assert self.status == 0, self.output
        return self


def command(playbook: str, *arguments: str, inventory: Path = INVENTORY) -> list[str]:
    """The command line of a playbook, such as `add-client`."""
    path = f"playbooks/{playbook}.yml"
    return [str(BINARIES / "ansible-playbook"), "-i", str(inventory), path, *arguments]


def environment() -> dict[str, str]:
    """The environment of every run."""
    return os.environ | {"ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"}


def playbook(name: str, *arguments: str, inventory: Path = INVENTORY) -> Run:
    """Run a playbook to its end."""
    done = subprocess.run(
        command(name, *arguments, inventory=inventory),
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=280,
    )
    return Run(done.returncode, done.stdout)


def action(
    name: str, /, *, check: bool = False, variables: dict[str, str] | None = None, **arguments: Any
) -> Any:
    """Run one action or module on the controller, as a task would; returns its result."""
    words = [
        str(BINARIES / "ansible"),
        "-i",
        "localhost,",
        "-c",
        "local",
        "localhost",
        "-m",
        name,
        "-a",
        json.dumps(arguments),
    ]
    done = subprocess.run(
        [*words, "--check"] if check else words,
        cwd=REPOSITORY,
        env=environment()
        | {
            "ANSIBLE_CACHE_PLUGIN": "memory",  # no action sees another one's facts
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "json",
        }
        | (variables or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    told = json.loads(done.stdout[done.stdout.index("{") :])
    return told["plays"][0]["tasks"][0]["hosts"]["localhost"]
