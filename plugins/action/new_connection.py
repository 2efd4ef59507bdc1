"""Action `new_connection`: a new SSH connection to the host succeeds. It changes nothing.

Ansible keeps connections open, and a firewall lets open connections pass: that Ansible still reaches a host
does not say that anybody could log in. This runs `ssh` with the host's own settings, but never over a shared
connection, and repeats it until it succeeds. Over a local connection there is nothing to try.

Arguments:
    timeout: seconds until it must have succeeded.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader

from ansible import constants

ATTEMPT = 5  # seconds that one attempt may take to connect
PAUSE = 0.5  # seconds between two attempts


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"timeout"})
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Connect, or fail with the last words of `ssh`."""
        super().run(tmp, task_vars)
        if self._play_context.connection == "local":
            return {"changed": False}
        names = [name for name in task_vars or {} if name.startswith("ansible_") and "facts" not in name]
        variables = {name: self._templar.template((task_vars or {})[name]) for name in names}
        command = ssh_command(variables)
        deadline = time.monotonic() + float(self._task.args["timeout"])
        while True:
            words = attempt(command)
            if not words:
                return {"changed": False}
            if time.monotonic() > deadline:
                raise AnsibleActionFail(
                    f"no new SSH connection within {self._task.args['timeout']} s: {words}"
                )
            time.sleep(PAUSE)


def ssh_command(variables: Mapping[str, Any]) -> list[str]:
    """What Ansible would run to reach the host, over a connection of its own."""
    connection_loader.get("ssh", class_only=True)  # which makes the plugin's settings known

    def setting(name: str) -> Any:
        return constants.config.get_config_value(
            name, plugin_type="connection", plugin_name="ssh", variables=dict(variables)
        )

    # The first value of an option counts.
    command = [str(setting("ssh_executable")), "-o", "ControlMaster=no", "-o", "ControlPath=none"]
    command += ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={ATTEMPT}"]
    for name in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
        command += shlex.split(setting(name) or "")
    if setting("private_key_file"):
        command += ["-i", str(setting("private_key_file"))]
    if setting("port"):
        command += ["-p", str(setting("port"))]
    if setting("remote_user"):
        command += ["-l", str(setting("remote_user"))]
    return [*command, str(setting("host")), "true"]


def attempt(command: list[str]) -> str:
    """Why a connection failed; empty when it did not."""
    try:
        done = subprocess.run(  # noqa: S603  (no shell; the operator's own settings)
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3 * ATTEMPT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "the host takes connections, but does not answer"
    return "" if done.returncode == 0 else done.stderr.strip() or f"ssh ended with {done.returncode}"
