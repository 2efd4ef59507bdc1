#!/usr/bin/python3
"""Module `supervisor_program`: one program of supervisor, by its own RPC; no other program is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_program
short_description: One program of supervisor, as its configuration file says
description:
  - Makes supervisor read its files again and applies what they say of one program (and its group of the
    same name).
  - The comparison is between what supervisor runs and what the files say, so that a run that was interrupted
    between writing the file and restarting the program is made good by the next one.
  - C(supervisorctl update) would restart every program whose file changed; this touches only the one named.
options:
  name:
    description: The program, in a file of its own in supervisor's C(conf.d).
    type: str
    required: true
  state:
    description:
      - C(started) runs it with its present configuration.
      - C(stopped) stops it until it is started again; one that supervisor does not know is stopped.
      - C(absent) stops and forgets it (its file must be gone).
    type: str
    choices: [started, stopped, absent]
    default: started
  socket:
    description: Supervisor's unix socket.
    type: path
    default: /run/supervisor.sock
  timeout:
    description: Seconds until supervisor must say RUNNING.
    type: float
    default: 30
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Run the gateway with its present configuration
  supervisor_program:
    name: orbitbot-gateway
"""

RETURN = r"""
actions:
  description: What was done, in order.
  type: list
  elements: str
  returned: always
pid:
  description: The program's process id.
  type: int
  returned: when started
"""

import subprocess  # noqa: E402  (a module's documentation comes first)
import time  # noqa: E402
import xmlrpc.client  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.supervisor_rpc import (  # noqa: E402
    LOG_TAIL,
    NO_WAIT,
    POLL_INTERVAL,
    SET_ASIDE,
    STOPPED,
    SupervisorError,
    connect,
)


class Program:
    """One program, and the group of the same name that supervisor keeps it in."""

    def __init__(self, rpc: Any, name: str, *, check_mode: bool = False) -> None:
        self._rpc = rpc
        self._name = name
        self._process = f"{name}:{name}"
        self._check_mode = check_mode
        self.actions: list[str] = []
        self.warnings: list[str] = []

    def start(self, timeout: float) -> int:
        """Run the program with its present configuration; its process id (0 in check mode).

        Raises:
            SupervisorError: supervisor knows no such program, or it does not start.
        """
        added, changed, _ = self._reread()
        if self._name in changed:
            self._do("stop", lambda: self._rpc.stopProcessGroup(self._name))
            self._do("forget", lambda: self._rpc.removeProcessGroup(self._name))
        if self._name in (*added, *changed):
            self._do("add", lambda: self._rpc.addProcessGroup(self._name))
        elif self._name not in self._groups():
            if self._check_mode:
                self.actions.append("add")
            else:
                raise SupervisorError(f"no file in supervisor's conf.d defines [program:{self._name}]")
        if self._check_mode and self.actions:
            return 0
        return self._run(timeout)

    def stop(self) -> None:
        """Stop the program; it stays known, and is started by whoever starts it or by the next boot."""
        if self._name not in self._groups():
            return
        if self._rpc.getProcessInfo(self._process)["statename"] not in STOPPED:
            self._do("stop", lambda: self._rpc.stopProcessGroup(self._name))

    def remove(self) -> None:
        """Stop and forget the program.

        Raises:
            SupervisorError: a file still defines it, so that supervisor would start it again.
        """
        _, _, removed = self._reread()
        if self._name not in self._groups():
            return
        if self._name not in removed and not self._check_mode:
            raise SupervisorError(f"a file in supervisor's conf.d still defines [program:{self._name}]")
        self._do("stop", lambda: self._rpc.stopProcessGroup(self._name))
        self._do("forget", lambda: self._rpc.removeProcessGroup(self._name))

    def _run(self, timeout: float) -> int:
        info = self._rpc.getProcessInfo(self._process)
        if info["statename"] in STOPPED and "add" not in self.actions:
            self._do("start", lambda: self._rpc.startProcess(self._process, NO_WAIT))
            if self._check_mode:
                return 0
        deadline = time.monotonic() + timeout
        while (info := self._rpc.getProcessInfo(self._process))["statename"] != "RUNNING":
            if info["statename"] == "FATAL" or time.monotonic() > deadline:
                raise self._failed(info)
            time.sleep(POLL_INTERVAL)
        return int(info["pid"])

    def _failed(self, info: dict[str, Any]) -> SupervisorError:
        try:
            tail = self._rpc.readProcessStdoutLog(self._process, -LOG_TAIL, 0)
        except xmlrpc.client.Fault:
            tail = ""
        reason = info["spawnerr"] or info["description"]
        return SupervisorError(
            f"{self._name} does not run: {info['statename']} ({reason}). "
            f"End of its log {info['stdout_logfile']}:\n{tail}"
        )

    def _groups(self) -> set[str]:
        return {info["group"] for info in self._rpc.getAllProcessInfo()}

    def _reread(self) -> tuple[list[str], list[str], list[str]]:
        try:
            ((added, changed, removed),) = self._reload()
        except xmlrpc.client.Fault as error:
            raise SupervisorError(
                f"supervisor cannot read its configuration files: {error.faultString}"
            ) from error
        return added, changed, removed

    def _reload(self) -> Any:
        """Have supervisor read its files; what it cannot read is set aside: it would stop the others."""
        try:
            return self._rpc.reloadConfig()
        except xmlrpc.client.Fault:
            if self._check_mode or not SET_ASIDE.exists():
                raise
        done = subprocess.run([SET_ASIDE], capture_output=True, text=True, check=True)  # noqa: S603  (fixed words)
        self.warnings += done.stderr.splitlines()
        return self._rpc.reloadConfig()

    def _do(self, action: str, call: Any) -> None:
        self.actions.append(action)
        if not self._check_mode:
            call()


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
            "socket": {"type": "path", "default": "/run/supervisor.sock"},
            "timeout": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    program = Program(connect(module.params["socket"]), module.params["name"], check_mode=module.check_mode)
    result: dict[str, Any] = {}
    try:
        if module.params["state"] == "absent":
            program.remove()
        elif module.params["state"] == "stopped":
            program.stop()
        else:
            result["pid"] = program.start(module.params["timeout"])
    except OSError as error:
        module.fail_json(msg=f"supervisor does not answer on {module.params['socket']}: {error.strerror}")
    except (SupervisorError, xmlrpc.client.Fault) as error:
        module.fail_json(msg=str(error), actions=program.actions)
    for warning in program.warnings:
        module.warn(warning)
    module.exit_json(changed=bool(program.actions), actions=program.actions, **result)


if __name__ == "__main__":
    main()
