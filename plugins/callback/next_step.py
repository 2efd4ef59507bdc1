"""Callback `next_step`: a run that left hosts undone ends with which, why, and what to run for them alone."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible import constants as C  # noqa: N812  (as Ansible's own plugins import it)

DOCUMENTATION = r"""
name: next_step
type: notification
short_description: Names the hosts that a run left undone, and the command that goes on with them
description:
  - A host that failed or could not be reached does not keep the others from being finished. After such a run
    this tells which hosts are left, and the same command limited to them.
requirements:
  - enable it with C(callbacks_enabled) in C(ansible.cfg)
author: OrbitBot contributors
"""

CONTROLLER = "localhost"  # its plays check, lock and sign; a limit that leaves it out leaves them out
# Does for some hosts what it does for all. The others name a client or a host, and run for that as a whole.
LIMITED = "site.yml"


def next_step(undone: Mapping[str, str], finished: Sequence[str], arguments: Sequence[str]) -> str:
    """What to say after a run.

    Args:
        undone: host → why.
        finished: the other hosts.
        arguments: the command line of the run, without the program.
    """
    lines = [f"Not finished: {', '.join(f'{host} ({why})' for host, why in sorted(undone.items()))}."]
    hosts = sorted(host for host in undone if host != CONTROLLER)
    limited = any(word.rpartition("/")[2] == LIMITED for word in arguments)
    if CONTROLLER in undone or not hosts or not limited:
        lines.append("When the cause is mended, run it again as it was:")
        command = list(arguments)
    else:
        if finished:
            lines.append(f"Finished: {', '.join(sorted(finished))}.")
        lines.append("When the cause is mended, this goes on with what is left:")
        command = [*without_limit(arguments), "--limit", ",".join([*hosts, CONTROLLER])]
    return "\n".join([*lines, f"  ansible-playbook {shlex.join(command)}"])


def without_limit(arguments: Sequence[str]) -> list[str]:
    """A command line without `-l` and `--limit`."""
    kept: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word in ("-l", "--limit"):
            next(rest, None)
        elif not word.startswith(("--limit=", "-l")):
            kept.append(word)
    return kept


class CallbackModule(CallbackBase):
    """See the module's text."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "next_step"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Say it, if a host is left."""
        undone = {}
        for host in stats.processed:
            counts = stats.summarize(host)
            if counts["unreachable"]:
                undone[host] = "could not be reached"
            elif counts["failures"]:
                undone[host] = "failed"
        if undone:
            finished = [host for host in stats.processed if host not in undone and host != CONTROLLER]
            text = next_step(undone, finished, sys.argv[1:])
            self._display.display(text, color=C.COLOR_ERROR, stderr=True)
