#!/usr/bin/python3
"""Module `run_records`: the last runs of playbooks that left a record on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_records
short_description: The last runs of playbooks that left a record on a host
description:
  - Looks and changes nothing. Where there are no records, there are no runs.
options:
  folder:
    description: Folder of the records; empty, that of the runs which this user started on this host.
    type: path
    default: ""
  count:
    description: How many of them, the newest first.
    type: int
    default: 5
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Read the last runs
  run_records:
    folder: /var/lib/orbitbot/runs
    count: 10
"""

RETURN = r"""
runs:
  description: The facts of each run; C(state) is C(running), C(ok), C(failed), C(refused) or C(interrupted).
  type: list
  elements: dict
  returned: always
"""

from pathlib import Path  # noqa: E402  (a module's documentation comes first)

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.fleet_runs import local_records, read_runs  # noqa: E402


def main() -> None:
    """Read them."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "default": ""},
            "count": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    folder = Path(module.params["folder"]) if module.params["folder"] else local_records()
    module.exit_json(changed=False, runs=read_runs(folder, module.params["count"]))


if __name__ == "__main__":
    main()
