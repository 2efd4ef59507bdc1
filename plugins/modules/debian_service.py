#!/usr/bin/python3
"""Module `debian_service`: a Debian service that runs, and runs with its present configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: debian_service
short_description: A Debian service that runs with its present configuration
description:
  - Starts the service when it is down, and restarts (or reloads) it when its configuration differs from the
    one it was last started with. That is compared each time, so that a run interrupted between writing a file
    and restarting the service is made good by the next one, which a handler would not do.
  - Works with systemd and without it. Without it a restart waits for the old process to be gone, which the
    init scripts of some packages do not.
options:
  name:
    description: The service, as C(service) and C(systemctl) know it.
    type: str
    required: true
  unit:
    description: The systemd unit that has the main process, where it is another one than I(name).
    type: str
  pid_file:
    description: File whose first line is the process id of the service's main process; without it systemd is
      asked.
    type: path
  config:
    description: Its configuration files and directories; a change in any of them is applied.
    type: list
    elements: path
    default: []
  reload:
    description: Whether a reload applies a change.
    type: bool
    default: false
  check:
    description: Command that must succeed before a change is applied.
    type: list
    elements: str
    default: []
  state:
    description: C(started), or C(stopped).
    type: str
    choices: [started, stopped]
    default: started
  timeout:
    description: Seconds that stopping and starting may take each.
    type: float
    default: 60
  state_directory:
    description: Where the digest of the applied configuration is kept.
    type: path
    default: /var/lib/orbitbot/services
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Run nginx with its present configuration
  debian_service:
    name: nginx
    pid_file: /run/nginx.pid
    config: [/etc/nginx]
    reload: true
    check: [nginx, -t]
"""

RETURN = r"""
actions:
  description: What was done, in order.
  type: list
  elements: str
  returned: always
"""

import hashlib  # noqa: E402  (a module's documentation comes first)
import os  # noqa: E402
import re  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

POLL_INTERVAL = 0.1  # seconds
TIMED_OUT = 124  # exit status of `timeout`
CLOCK_SLACK = 2.0  # seconds; the kernel tells the time of boot in whole ones


class ServiceError(Exception):
    """The service could not be brought into the state that was asked for."""


def digest(paths: list[str]) -> str:
    """SHA-256 over names and contents of files, and of the files below directories."""
    total = hashlib.sha256()
    for path in _files(paths):
        total.update(f"{path}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _files(paths: list[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.is_file())
        elif path.exists():
            yield path


def last_change(paths: list[str]) -> float:
    """Unix time of the latest change of these files, or of what is in these directories."""
    directories = [each for path in map(Path, paths) if path.is_dir() for each in (path, *path.rglob("*/"))]
    return max((path.stat().st_ctime for path in (*_files(paths), *directories)), default=0.0)


def process_start(pid: int) -> str:
    """When the process started, in the kernel's clock ticks since boot; empty when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def started_at(process: str) -> float:
    """Unix time at which a process began, from `pid:start`."""
    boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text("utf-8"), re.MULTILINE)
    return int(boot[1] if boot else 0) + int(process.partition(":")[2]) / os.sysconf("SC_CLK_TCK")


class Service:
    """One service on this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        params = module.params
        self._name = params["name"]
        self._unit = params["unit"] or self._name
        self._pid_file = params["pid_file"]
        self._timeout = params["timeout"]
        self._record = Path(params["state_directory"]) / f"{self._name}.applied"
        self._systemd = Path("/run/systemd/system").is_dir()
        self.actions: list[str] = []

    def run(self) -> None:
        """Have the service running with its present configuration.

        Raises:
            ServiceError: the check of the configuration failed, or the service does not come up.
        """
        self._enable()
        wanted = digest(self._module.params["config"])
        process = self._process()
        if process and self._runs_with(process, wanted):
            return
        self._check()
        if self._systemd and not self._module.check_mode:
            self._run(["systemctl", "daemon-reload"])  # its units may be among the changed files
        if not process:
            self._do("start", lambda: self._command("start"))
        elif self._module.params["reload"]:
            self._do("reload", lambda: self._command("reload"))
        else:
            self._do("restart", self._restart)
        if not self._module.check_mode:
            self._wait(lambda: bool(self._process()), "did not start")
            self._record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._record.write_text(f"{self._process()} {wanted}\n", "utf-8")

    def stop(self) -> None:
        """Have the service stopped, and forget what configuration it ran with."""
        if self._process():
            self._do("stop", self._stop)
        if not self._module.check_mode:
            self._record.unlink(missing_ok=True)

    def _process(self) -> str:
        """The main process as `pid:start`, or an empty text when there is none."""
        try:
            told = Path(self._pid_file).read_text("utf-8") if self._pid_file else self._main_pid()
            pid = int(told.split()[0])
        except (OSError, ValueError, IndexError):
            return ""
        start = process_start(pid)
        return f"{pid}:{start}" if start else ""

    def _runs_with(self, process: str, wanted: str) -> bool:
        """Whether `process` runs with the configuration that is there now.

        Of a process that this module started or reloaded last, the record says so. Another one (the host was
        restarted, say) has read the present files if it began after the last of them was written.
        """
        try:
            recorded, applied = self._record.read_text("utf-8").split()
        except (OSError, ValueError):
            recorded, applied = "", ""
        if recorded == process:
            return applied == wanted
        return started_at(process) > last_change(self._module.params["config"]) + CLOCK_SLACK

    def _enable(self) -> None:
        if self._systemd and self._module.run_command(["systemctl", "is-enabled", self._name])[0] != 0:
            self._do("enable", lambda: self._run(["systemctl", "enable", self._name]))

    def _check(self) -> None:
        if self._module.params["check"]:
            self._run(self._module.params["check"])

    def _command(self, verb: str) -> None:
        self._run(["systemctl", verb, self._unit] if self._systemd else ["service", self._name, verb])

    def _main_pid(self) -> str:
        return str(
            self._module.run_command(["systemctl", "show", "--property=MainPID", "--value", self._unit])[1]
        )

    def _restart(self) -> None:
        if self._systemd:  # which keeps the connections of a service that stores them, as the journal does
            self._command("restart")
        else:
            self._stop()
            self._command("start")

    def _stop(self) -> None:
        before = self._process()
        self._command("stop")
        self._wait(lambda: self._process() != before, "did not stop")

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + self._timeout
        while not condition():
            if time.monotonic() > deadline:
                raise ServiceError(f"{self._name} {complaint} within {self._timeout:g} s")
            time.sleep(POLL_INTERVAL)

    def _run(self, command: list[str]) -> None:
        # An init script may wait for ever for a service that refuses to stop.
        status, out, err = self._module.run_command(["timeout", f"{self._timeout:g}", *command])
        if status == TIMED_OUT:
            raise ServiceError(f"`{' '.join(command)}` did not end within {self._timeout:g} s")
        if status != 0:
            raise ServiceError(f"`{' '.join(command)}` failed: {(err or out).strip()}")

    def _do(self, action: str, call: Callable[[], None]) -> None:
        self.actions.append(action)
        if not self._module.check_mode:
            call()


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "name": {"type": "str", "required": True},
            "unit": {"type": "str"},
            "pid_file": {"type": "path"},
            "config": {"type": "list", "elements": "path", "default": []},
            "reload": {"type": "bool", "default": False},
            "check": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "timeout": {"type": "float", "default": 60.0},
            "state_directory": {"type": "path", "default": "/var/lib/orbitbot/services"},
        },
        supports_check_mode=True,
    )
    service = Service(module)
    try:
        service.stop() if module.params["state"] == "stopped" else service.run()
    except ServiceError as error:
        module.fail_json(msg=str(error), actions=service.actions)
    module.exit_json(changed=bool(service.actions), actions=service.actions)


if __name__ == "__main__":
    main()
