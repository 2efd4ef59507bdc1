"""Callback `run_record`: every run of a playbook that may change something leaves a record.

Records lie on the controller (plugins/module_utils/fleet_runs.py says where and how), and once the run has
the fleet's lock, on the host that holds it as well. Playbooks that change nothing, by their opening comment,
and playbooks from elsewhere leave none.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import json
import os
import socket
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible import context

DOCUMENTATION = r"""
name: run_record
type: notification
short_description: Leaves a record of every run that may change something
description:
  - Who ran what, with which version, on which hosts, and how it ended; docs/operations/runs.md tells more.
requirements:
  - enable it with C(callbacks_enabled) in C(ansible.cfg)
author: OrbitBot contributors
"""

PROJECT = Path(__file__).resolve().parents[2]
RUN = "ORBITBOT_RUN"  # tells the action `fleet_lock` of this run
OPERATOR = "ORBITBOT_OPERATOR"  # who runs it, where that is not this machine's user
TOLD = ("client", "host", "purge", "remove", "lock")  # extra variables that a record repeats; none is secret
CHANGES = "# Changes:"


def load(relative: str) -> ModuleType:
    """Another plugin's file as a module: Ansible's plugins cannot import each other by name."""
    path = PROJECT / "plugins" / relative
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101  (for the type checker)
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def changes_something(playbook: Path) -> bool:
    """Whether a playbook's opening comment says that it changes something."""
    lines = playbook.read_text("utf-8").splitlines()
    said = next((line.removeprefix(CHANGES).strip() for line in lines if line.startswith(CHANGES)), "")
    return not said.startswith("nothing")


def operator() -> str:
    """Who runs this: a name given in the environment, else the user who became root, else the user."""
    return os.environ.get(OPERATOR) or os.environ.get("SUDO_USER") or getpass.getuser()


def outcome(hosts: dict[str, dict[str, int]]) -> str:
    """The run's result from its hosts' counts."""
    failed = any(counts["failed"] or counts["unreachable"] for counts in hosts.values())
    return "failed" if failed else "ok"


class CallbackModule(CallbackBase):
    """See the module's text."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "run_record"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._record: Any = None
        self._hosts_known = False
        self._first_failure = ""

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin the record."""
        path = Path(playbook._basedir, Path(playbook._file_name).name).resolve()  # noqa: SLF001  (no other way)
        if path.parent != PROJECT / "playbooks" or not changes_something(path):
            return
        runs, release = load("module_utils/fleet_runs.py"), load("action/build_release.py")
        options, extra = context.CLIARGS, self._extra_variables()
        run = {
            "id": runs.new_id(),
            "pid": os.getpid(),
            "playbook": path.stem,
            "operator": operator(),
            "controller": socket.gethostname(),
            "inventories": [os.path.realpath(path) for path in options.get("inventory") or ()],
            "limit": options.get("subset") or "",
            "tags": ", ".join(tag for tag in options.get("tags") or () if tag != "all"),
            "check": bool(options.get("check")),
            "version": release.release_version(PROJECT),
            "commit": release.commit_of(PROJECT),
            "values": {name: str(extra[name]) for name in TOLD if name in extra},
        }
        try:
            self._record = runs.Record(runs.local_records(), run["id"])
            self._record.add("started", **run)
        except OSError as error:
            self._display.warning(f"this run leaves no record on this machine: {error}")
        record = str(self._record.path) if self._record else ""
        os.environ[RUN] = json.dumps({"run": run, "record": record})

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Note the hosts that the run is limited to, once."""
        if self._record and not self._hosts_known:
            inventory = play.get_variable_manager()._inventory  # noqa: SLF001  (no other way)
            self._add(
                "hosts", chosen=sorted(host.name for host in inventory.get_hosts(ignore_restrictions=True))
            )
            self._hosts_known = True

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: FBT001, FBT002  (Ansible's signature)
        """Note the first failure."""
        if not ignore_errors:
            self._note(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note it, if it is the first."""
        self._note(result, "could not be reached")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """End the record."""
        hosts = {
            host: {
                "ok": counts["ok"],
                "changed": counts["changed"],
                "failed": counts["failures"],
                "unreachable": counts["unreachable"],
            }
            for host in sorted(stats.processed)
            for counts in [stats.summarize(host)]
        }
        if self._record:
            result = outcome(hosts)
            self._add(
                "ended", result=result, hosts=hosts, failure=self._first_failure if result == "failed" else ""
            )

    def _note(self, result: Any, what: str) -> None:
        if not self._first_failure:
            self._first_failure = f"{result.host.get_name()}: {result.task.get_name()}: {what}"

    def _add(self, event: str, **facts: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk is the run's business, not its record's
            self._record.add(event, **facts)

    @staticmethod
    def _extra_variables() -> dict[str, Any]:
        from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415  (only where a record is begun)
        from ansible.utils.vars import load_extra_vars  # noqa: PLC0415

        variables: dict[str, Any] = load_extra_vars(loader=DataLoader())
        return variables
