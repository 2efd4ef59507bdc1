"""Callback `likely_cause`: after a failure, which task failed, on which host, and what probably is wrong."""

from __future__ import annotations

import re
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible import constants as C  # noqa: N812  (as Ansible's own plugins import it)

DOCUMENTATION = r"""
name: likely_cause
type: notification
short_description: Names the failed task, the host and the likely cause
description:
  - After each failure this prints the task, the host and a likely cause, found by what the error says.
  - An error that none of its patterns fits is left to speak for itself.
requirements:
  - enable it with C(callbacks_enabled) in C(ansible.cfg)
author: OrbitBot contributors
"""

# The first pattern that an error's text fits tells the cause.
CAUSES = (
    (
        r"Could not resolve|Temporary failure resolving|Name or service not known|Network is unreachable",
        "no way to the package mirror or host of that name: look at DNS, proxy and /etc/apt/sources.list.d",
    ),
    (
        r"Unable to locate package|no installation candidate",
        "the host's package lists are old or lack Debian's main component: run `apt-get update` on it",
    ),
    (
        r"[Cc]ould not get lock|is another process using it|dpkg was interrupted",
        "another package manager is at work, or one was interrupted: wait, or run `dpkg --configure -a`",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full: free space, or have fewer releases kept (release_keep)",
    ),
    (
        r"Address already in use|bind\(\) to .* failed",
        "another process holds the port: `ss -ltnp` names it; stop it or change the port's variable",
    ),
    (
        r"Permission denied|Operation not permitted|not permitted|must be root|Missing sudo password",
        "the playbooks need root on the host",
    ),
    (
        r"Decryption failed|no vault secrets|vault password",
        "the passphrase file does not belong to this vault: docs/operations/secrets.md",
    ),
    (
        r"password authentication failed",
        "PostgreSQL has another password than the vault: was the vault made anew? Run site.yml as a whole",
    ),
    (
        r"does not match the expected hash|hashes are required|THESE PACKAGES DO NOT MATCH|Hash mismatch",
        "a downloaded package is not the one that the lock file names: look at the package mirror",
    ),
    (
        r"No matching distribution found|not find a version that satisfies",
        "the package mirror of pip's configuration does not have this version, or not for the host's Python",
    ),
    (
        r"supervisor does not answer|unix:///.*supervisor.*(refused|no such file)",
        "supervisord is not running on the host: `service supervisor start`",
    ),
    (
        r"does not run: (FATAL|BACKOFF|EXITED)",
        "the service ends at its start; the end of its log above says why",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "the certificate is from another authority than the vault's, or the host's clock is wrong",
    ),
    (
        r"HTTP Error 503|Status code was 503|not ready",
        "a service that is needed is not ready; `/readyz` and /var/log/orbitbot/ tell which and why",
    ),
    (
        r"Connection refused|Status code was -1",
        "the service does not listen (yet): look at `supervisorctl status` and /var/log/orbitbot/",
    ),
    (
        r"timed out|Timeout",
        "the host or a service was too slow or cannot be reached; the playbook may be run again",
    ),
)
UNREACHABLE = "Ansible cannot log in: look at the host's address, its SSH service and your key"


def likely_cause(text: str) -> str:
    """The cause that the text of an error points to; empty when none is known."""
    return next((cause for pattern, cause in CAUSES if re.search(pattern, text)), "")


def error_text(result: dict[str, Any]) -> str:
    """What a task's result says of its failure."""
    parts = [str(result.get(key, "")) for key in ("msg", "stderr", "module_stderr", "exception", "content")]
    items = [item for item in result.get("results", []) if isinstance(item, dict)]
    parts.extend(error_text(item) for item in items if item.get("failed"))
    return "\n".join(part for part in parts if part)


class CallbackModule(CallbackBase):
    """See the module's text."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "likely_cause"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: FBT001, FBT002  (Ansible's signature)
        """Say it, unless the playbook goes on regardless."""
        if not ignore_errors:
            self._say("failed", result, likely_cause(error_text(result.result)))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Say it."""
        self._say("could not be reached", result, UNREACHABLE)

    def _say(self, what: str, result: Any, cause: str) -> None:
        lines = [f"Task “{result.task.get_name()}” {what} on host {result.host.get_name()}."]
        if cause:
            lines.append(f"Likely cause: {cause}.")
        self._display.display("\n".join(lines), color=C.COLOR_ERROR, stderr=True)
