"""Action `fleet_lock`: takes the fleet's lock for the rest of the run, or says who has it.

The lock is held on one host of the fleet, so it holds for operators on different controllers. It is given
back when this run's process is gone, however it ends (plugins/controller/keep_lock.py). While somebody else
has it, this waits, and says for whom. In check mode, which changes nothing, it takes no lock.

Arguments:
    host: the host of the inventory that holds the lock.
    mode: `exclusive`, or `shared` with others that change one client each.
    client: with `shared`, the client; no two runs work on the same one.
    wait: seconds to wait for others.
    records: the folder on that host for the runs' records.
    locks: the folder there for the locks' files.
"""

from __future__ import annotations

import getpass
import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

PLUGINS = Path(__file__).parent.parent
RECORDS = "/var/lib/orbitbot/runs"
LOCKS = "/run/lock"
RUN = "ORBITBOT_RUN"  # where the callback `run_record` tells of this run
# Reads its program from the first line, so that `ps` on the host does not show all of it.
BOOTSTRAP = "import json, sys; exec(compile(json.loads(sys.stdin.readline()), 'orbitbot-fleet-lock', 'exec'))"


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"host", "mode", "client", "wait", "records", "locks"})
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the lock, or fail with the name of who has it."""
        super().run(tmp, task_vars)
        host, mode, client = (str(self._task.args.get(name, "")) for name in ("host", "mode", "client"))
        if mode not in ("exclusive", "shared"):
            raise AnsibleActionFail(f"mode: '{mode}' is not a mode; allowed: exclusive, shared")
        wait = seconds(self._task.args.get("wait", 900))
        if self._task.check_mode:
            return {"changed": False}
        told = json.loads(os.environ.get(RUN) or "{}")
        playbook = str((task_vars or {}).get("ansible_play_name", ""))
        run = told.get("run") or run_without_record(playbook)
        job = {
            "command": python_on(host, (task_vars or {})["hostvars"][host]),
            "program": (PLUGINS / "module_utils/fleet_runs.py").read_text("utf-8"),
            "run": run | {"lock": mode} | ({"client": client} if client else {}),
            "wait": wait,
            "records": self._task.args.get("records", RECORDS),
            "locks": self._task.args.get("locks", LOCKS),
            "pid": run["pid"],
            "record": told.get("record", ""),
        }
        _take(job, host)
        return {"changed": False}


def _take(job: Mapping[str, Any], host: str) -> None:
    keeper = subprocess.Popen(  # noqa: S603  (no shell; the project's own program)
        [sys.executable, PLUGINS / "controller/keep_lock.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt from the terminal is for the run alone
        text=True,
    )
    assert keeper.stdin is not None  # noqa: S101  (for the type checker)
    assert keeper.stdout is not None  # noqa: S101
    keeper.stdin.write(json.dumps(job) + "\n")
    keeper.stdin.close()
    for line in keeper.stdout:
        word = json.loads(line)
        if "held" in word:
            return
        if "waiting" in word:
            Display().display(f"Waiting for {named(word['waiting'])}.")
        if "refused" in word:
            raise AnsibleActionFail(
                f"the fleet is being changed by {named(word['refused'])}. Run this again afterwards, or have "
                "it wait longer with -e lock_wait=SECONDS"
            )
        if "error" in word:
            raise AnsibleActionFail(
                f"the fleet's lock is held on {host}, which did not give it: {word['error']}. While {host} "
                "is away and nobody else changes the fleet, -e lock=no runs without it"
            )
    raise AnsibleActionFail("plugins/controller/keep_lock.py ended without a word")


def seconds(text: Any) -> float:
    """A number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 86400:  # noqa: PLR2004  (a day)
        raise AnsibleActionFail(f"lock_wait: '{text}' is not allowed; allowed: seconds, 0 to 86400")
    return number


def named(runs: Sequence[Mapping[str, Any]]) -> str:
    """Who runs what, since when, for people."""
    each = [
        f"{run['operator']} on {run['controller']}, who runs {run['playbook']}"
        f"{' for ' + run['client'] if run.get('client') else ''} since {run['locked_at']}"
        for run in runs
    ]
    return " and ".join(each) or "somebody who has just ended"


def run_without_record(playbook: str) -> dict[str, Any]:
    """What is known of this run where the callback `run_record` is not enabled."""
    runs = load(PLUGINS / "module_utils/fleet_runs.py")
    return {
        "id": runs.new_id(),
        "pid": os.getppid(),  # tasks run in children of Ansible's own process
        "playbook": playbook,
        "operator": getpass.getuser(),
        "controller": socket.gethostname(),
    }


def python_on(host: str, variables: Mapping[str, Any]) -> list[str]:
    """The command that runs Python on a host."""
    python = str(variables.get("ansible_python_interpreter", "/usr/bin/python3"))
    python = python if python.startswith("/") else "/usr/bin/python3"
    if variables.get("ansible_connection") == "local" or host == "localhost":
        return [python, "-c", BOOTSTRAP]
    names = [name for name in variables if name.startswith("ansible_") and "facts" not in name]
    connection = load(PLUGINS / "action/new_connection.py")
    ssh: list[str] = connection.ssh_command({name: variables[name] for name in names})[:-1]
    return [*ssh, f'{python} -c "{BOOTSTRAP}"']


def load(path: Path) -> ModuleType:
    """Another plugin's file as a module: Ansible's plugins cannot import each other by name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101  (for the type checker)
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
