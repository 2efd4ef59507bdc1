"""Strategy `fastest`: Ansible's own `linear`, with Mitogen underneath where the controller has a fitting one.

Mitogen keeps a Python process on each host for the whole run instead of starting one for each task. It is
never needed: where it is missing, or does not know this Ansible, the same tasks run the usual way.
"""

from __future__ import annotations

from ansible.errors import AnsibleError

DOCUMENTATION = r"""
name: fastest
short_description: Executes tasks in a linear fashion, with Mitogen where there is one
description:
  - As the strategy C(linear).
author: OrbitBot contributors
"""

try:
    from ansible_mitogen.plugins.strategy.mitogen_linear import StrategyModule
except (ImportError, AnsibleError):
    from ansible.plugins.strategy.linear import StrategyModule

__all__ = ["StrategyModule"]
