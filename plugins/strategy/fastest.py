"""Strategy `fastest`: Ansible's own `linear`, with Mitogen underneath where the controller has a fitting one.

Mitogen keeps a Python process on each host for the whole run instead of starting one for each task. It is
never needed: where it is missing, or does not know this Ansible, the same tasks run the usual way.

A delegated task whose host cannot be reached has failed, so that a `rescue` can act: the play's own host is
well, and Ansible would drop that one from the run instead.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any

from ansible.errors import AnsibleError

DOCUMENTATION = r"""
name: fastest
short_description: Executes tasks in a linear fashion, with Mitogen where there is one
description:
  - As the strategy C(linear), but that a delegated task whose host cannot be reached has failed.
author: OrbitBot contributors
"""

MANY = 4  # processors with which Mitogen has one for each of its kinds of process

try:
    import ansible_mitogen.affinity
    from ansible_mitogen.plugins.strategy.mitogen_linear import StrategyModule as Linear

    # With fewer it would keep all workers on one and leave the other to its multiplexer.
    if (os.cpu_count() or 1) < MANY:
        ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()
except (ImportError, AnsibleError):
    from ansible.plugins.strategy.linear import StrategyModule as Linear


class StrategyModule(Linear):
    """See the module's text."""

    def _convert_wire_task_result_to_raw(self, wire_task_result: Any) -> Any:
        found = super()._convert_wire_task_result_to_raw(wire_task_result)
        if found.is_unreachable() and found.task.delegate_to and not found.task.ignore_unreachable:
            _fail(found._return_data, str(found.task.delegate_to))  # noqa: SLF001
        return found


def _fail(result: MutableMapping[str, Any], host: str) -> None:
    """Make a result that says unreachable one that says failed, and for which host."""
    away = next((each for each in result.get("results", []) if each.get("unreachable")), result)
    words = f"{host} cannot be reached: {away.get('msg', 'no reason was given')}"
    result.update(unreachable=False, failed=True, msg=words)
