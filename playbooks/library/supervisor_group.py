"""Ansible module: one supervisor process group, through supervisord's XML-RPC on its Unix socket."""

import http.client
import os
import socket
import time
import xmlrpc.client
from collections.abc import Callable, Iterable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: supervisor_group
short_description: Add, renew, restart, list or remove a process group of supervisor
description:
  - Speaks to supervisord over its Unix socket and touches the named group only.
  - What has to be done is read off the running group, not off earlier tasks, so a run that was
    interrupted anywhere can be repeated.
options:
  name:
    description: The group's name; for a C([program:x]) section without a group this is C(x).
      Not used with O(state=listed).
    type: str
  state:
    description:
      - C(present) re-reads the configuration, adds the group if it is new, replaces it if its section
        changed, starts it if it is stopped, and restarts it if a process is not younger than every path
        in O(restart_if_older_than).
      - C(restarted) does the same and restarts it in any case.
      - C(absent) stops and forgets the group. Its file must be gone already.
      - C(listed) changes nothing and returns the processes of every group.
    type: str
    choices: [present, restarted, absent, listed]
    default: present
  socket:
    description: supervisord's Unix socket.
    type: path
    default: /run/supervisor.sock
  restart_if_older_than:
    description: Files, directories or symbolic links (not followed) that the processes read when they start.
    type: list
    elements: path
    default: []
  wait_seconds:
    description: How long supervisord may take to answer, and the processes to start or to stop.
    type: int
    default: 60
author:
  - OrbitBot
"""

EXAMPLES = r"""
- name: Run the bot
  supervisor_group:
    name: bot-padaria
    restart_if_older_than:
      - /etc/orbitbot/bots/padaria.toml
"""

RETURN = r"""
actions:
  description: What was done, in order (C(added), C(replaced), C(restarted), C(started), C(removed)).
  returned: always
  type: list
processes:
  description: Name, group, state, pid and start (Unix seconds) of each process.
  returned: always
  type: list
"""

POLL = 0.1  # seconds between two looks at a process that is starting
SUCCESS = 80  # supervisor.xmlrpc.Faults
LOG_TAIL = 2000  # bytes of a failed process's log that go into the message

Process = dict[str, Any]


class Failed(Exception):
    """The state asked for cannot be reached; the text says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002  (there is one socket)
        return _UnixConnection(self._path, self._timeout)


def connect(path: str, timeout: float) -> Any:
    """A proxy for supervisord's `supervisor` namespace.

    Waits up to `timeout` seconds for a supervisord that is just starting.

    Raises:
        Failed: nobody answers on the socket.
    """
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_UnixTransport(path, timeout))
    deadline = time.monotonic() + timeout
    while True:
        try:
            state = proxy.supervisor.getState()
        except (OSError, http.client.HTTPException) as error:
            problem = str(error)
        else:
            if state["statename"] == "RUNNING":
                return proxy.supervisor
            problem = f"it is {state['statename']}"
        if time.monotonic() > deadline:
            raise Failed(f"supervisord does not serve on {path}: {problem}. Is supervisor running here?")
        time.sleep(POLL)


class Group:
    """One process group of a supervisord, and the steps that bring it into a wanted state.

    Args:
        rpc: the proxy of `connect`.
        read_at_start: paths that make a process outdated when they changed after its start.
        wait_seconds: how long starting may take.
    """

    def __init__(self, rpc: Any, name: str, read_at_start: Iterable[str], wait_seconds: float) -> None:
        self._rpc = rpc
        self._name = name
        self._read_at_start = list(read_at_start)
        self._wait_seconds = wait_seconds
        self.actions: list[str] = []

    def processes(self) -> list[Process]:
        """The group's processes as supervisord sees them; none if it does not know the group."""
        return [each for each in listed(self._rpc) if each["group"] == self._name]

    def present(self, *, restart: bool) -> None:
        """See `state` in the module's documentation."""
        added, changed = self._reread()
        if self._name in changed:
            self._drop()
            self._add("replaced")
        elif self._name in added:
            self._add("added")
        elif not self.processes():
            raise Failed(f"no file that supervisord reads has a section [program:{self._name}]")
        elif restart or self._outdated():
            self._rpc.stopProcessGroup(self._name)
            self._start("restarted")
        elif any(each["state"] in ("STOPPED", "EXITED", "FATAL") for each in self.processes()):
            self._start("started")
        self._wait_until_running()

    def absent(self) -> None:
        """See `state` in the module's documentation."""
        if self.processes():
            self._drop()
            self.actions.append("removed")
        added, _ = self._reread()
        if self._name in added:
            raise Failed(f"a file that supervisord reads still has a section [program:{self._name}]")

    def would_change(self, state: str) -> bool:
        """What check mode says; supervisord is only asked, and re-reads nothing."""
        processes = self.processes()
        if state == "absent":
            return bool(processes)
        stopped = any(each["state"] not in ("RUNNING", "STARTING") for each in processes)
        return not processes or state == "restarted" or stopped or self._outdated()

    def _reread(self) -> tuple[list[str], list[str]]:
        try:
            added, changed, _ = self._rpc.reloadConfig()[0]
        except xmlrpc.client.Fault as fault:
            raise Failed(f"supervisord cannot read its configuration: {fault.faultString}") from fault
        return added, changed

    def _drop(self) -> None:
        self._rpc.stopProcessGroup(self._name)
        self._rpc.removeProcessGroup(self._name)

    def _add(self, action: str) -> None:
        self._let_the_second_pass()
        self._rpc.addProcessGroup(self._name)
        self._start(action)

    def _start(self, action: str) -> None:
        self._let_the_second_pass()
        self.actions.append(action)
        do_not_wait = False
        started = self._rpc.startProcessGroup(self._name, do_not_wait)
        refused = [each for each in started if each["status"] != SUCCESS]
        if refused:
            raise Failed(f"{self._name} cannot be started: {refused[0]['description']}")

    def _changed_at(self) -> int:
        """The second in which the newest of the paths changed; 0 without any."""
        return int(max((os.lstat(each).st_mtime for each in self._read_at_start), default=0))

    def _outdated(self) -> bool:
        """supervisord knows starts by the second only, so "in the same second" counts as before."""
        changed_at = self._changed_at()
        return any(each["start"] <= changed_at for each in self.processes() if each["pid"])

    def _let_the_second_pass(self) -> None:
        """Without this, a process started right after its file was written would look outdated."""
        remaining = self._changed_at() + 1 - time.time()
        if 0 < remaining <= 1:
            time.sleep(remaining)

    def _wait_until_running(self) -> None:
        deadline = time.monotonic() + self._wait_seconds
        while True:
            processes = self.processes()
            if all(each["state"] == "RUNNING" for each in processes):
                return
            broken = [each for each in processes if each["state"] in ("FATAL", "EXITED", "STOPPED")]
            late = time.monotonic() > deadline
            if broken or late:
                worst = broken[0] if broken else next(e for e in processes if e["state"] != "RUNNING")
                why = "" if broken else f" after {self._wait_seconds:.0f} s"
                raise Failed(f"{worst['name']} is {worst['state']}{why}. {self._last_words(worst)}")
            time.sleep(POLL)

    def _last_words(self, process: Process) -> str:
        full_name = f"{process['group']}:{process['name']}"
        try:
            tail = self._rpc.readProcessStdoutLog(full_name, -LOG_TAIL, 0)
        except xmlrpc.client.Fault as fault:
            tail = f"(no log: {fault.faultString})"
        return f"{process['problem']} Its log ends: {tail.strip() or '(nothing)'}".strip()


def listed(rpc: Any) -> list[Process]:
    """Every process of every group."""
    return [
        {
            "name": each["name"],
            "group": each["group"],
            "state": each["statename"],
            "pid": each["pid"],
            "start": each["start"],
            "problem": each["spawnerr"],
        }
        for each in rpc.getAllProcessInfo()
    ]


def run(parameters: dict[str, Any], *, check_mode: bool, rpc: Any) -> dict[str, Any]:
    """The module's result.

    Raises:
        Failed: the state cannot be reached.
        OSError: a path in `restart_if_older_than` does not exist.
    """
    state = parameters["state"]
    if state == "listed":
        return {"changed": False, "actions": [], "processes": listed(rpc)}
    group = Group(rpc, parameters["name"], parameters["restart_if_older_than"], parameters["wait_seconds"])
    if check_mode:
        return {"changed": group.would_change(state), "actions": [], "processes": group.processes()}
    steps: dict[str, Callable[[], None]] = {
        "present": lambda: group.present(restart=False),
        "restarted": lambda: group.present(restart=True),
        "absent": group.absent,
    }
    steps[state]()
    return {"changed": bool(group.actions), "actions": group.actions, "processes": group.processes()}


def main() -> None:
    """Run as Ansible runs a module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "state": {
                "type": "str",
                "choices": ["present", "restarted", "absent", "listed"],
                "default": "present",
            },
            "socket": {"type": "path", "default": "/run/supervisor.sock"},
            "restart_if_older_than": {"type": "list", "elements": "path", "default": []},
            "wait_seconds": {"type": "int", "default": 60},
        },
        required_if=[("state", state, ["name"]) for state in ("present", "restarted", "absent")],
        supports_check_mode=True,
    )
    parameters = module.params
    try:
        rpc = connect(parameters["socket"], parameters["wait_seconds"])
        result = run(parameters, check_mode=module.check_mode, rpc=rpc)
    except (Failed, OSError, xmlrpc.client.Error) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
