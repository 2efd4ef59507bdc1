"""Strategy `fastest`: Ansible's own `linear`, with Mitogen underneath where the controller has a fitting one.

Mitogen keeps a Python process on each host for the whole run instead of starting one for each task. It is
never needed: where it is missing, or does not know this Ansible, the same tasks run the usual way.
"""

from __future__ import annotations

import os

from ansible.errors import AnsibleError

DOCUMENTATION = r"""
name: fastest
short_description: Executes tasks in a linear fashion, with Mitogen where there is one
description:
  - As the strategy C(linear).
author: OrbitBot contributors
"""

MANY = 4  # processors with which Mitogen has one for each of its kinds of process

try:
    import ansible_mitogen.affinity
    from ansible_mitogen.plugins.strategy.mitogen_linear import StrategyModule

    # With fewer it would keep all workers on one and leave the other to its multiplexer.
    if (os.cpu_count() or 1) < MANY:
        ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()
except (ImportError, AnsibleError):
    from ansible.plugins.strategy.linear import StrategyModule

__all__ = ["StrategyModule"]
