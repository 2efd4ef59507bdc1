#!/usr/bin/python3
"""Module `backup_status`: the backups that a host makes: age, size, and what is wrong with them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_status
short_description: Age and size of a host's backups, and what is wrong with them
description:
  - Asks C(orbitbot-backup status). Looks and changes nothing. A host without it has no jobs.
options:
  program:
    description: The program.
    type: path
    default: /usr/local/sbin/orbitbot-backup
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Look at its backups
  backup_status:
  register: backups
"""

RETURN = r"""
jobs:
  description: Each job with its name, age_hours (null for never), size, detail and alarm (empty when well).
  type: list
  elements: dict
  returned: always
problem:
  description: Why the program could not say; empty when it could.
  type: str
  returned: always
"""

import json  # noqa: E402  (a module's documentation comes first)
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {"program": {"type": "path", "default": "/usr/local/sbin/orbitbot-backup"}}, supports_check_mode=True
    )
    program = module.params["program"]
    jobs: list[dict[str, Any]] = []
    problem = ""
    if Path(program).exists():
        _, out, err = module.run_command([program, "status", "--json"])  # fails when there is an alarm
        try:
            jobs = json.loads(out)
        except ValueError:
            problem = err.strip() or "it said nothing"
    module.exit_json(changed=False, jobs=jobs, problem=problem)


if __name__ == "__main__":
    main()
