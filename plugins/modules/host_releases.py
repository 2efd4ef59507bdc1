#!/usr/bin/python3
"""Module `host_releases`: the releases on a host; makes one the current one and removes the oldest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_releases
short_description: The releases on a host
description:
  - Without C(current) it looks and changes nothing.
  - With C(current) it makes that release the current one and removes the oldest releases. One that a program
    is to run, or that a process runs, is never removed.
options:
  root:
    description: Directory of C(releases/) and C(current).
    type: path
    default: /opt/orbitbot
  current:
    description: The release to make the current one.
    type: str
  forward:
    description: Whether it comes after the present one; C(false) on a way back.
    type: bool
    default: true
  keep:
    description: Releases that stay, the current one and those in use included.
    type: int
    default: 5
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: See which releases there are
  host_releases:
  register: releases
"""

RETURN = r"""
current:
  description: The current release; empty where there is none.
  type: str
  returned: always
previous:
  description: The one before it; empty at the oldest.
  type: str
  returned: always
activated:
  description: The releases that were made current and are still there, the oldest first.
  type: list
  elements: str
  returned: always
releases:
  description: What is known of every complete release, by name.
  type: dict
  returned: always
removed:
  description: The releases that were removed.
  type: list
  elements: str
  returned: always
"""

from pathlib import Path  # noqa: E402  (a module's documentation comes first)

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.releases import Releases  # noqa: E402


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "root": {"type": "path", "default": "/opt/orbitbot"},
            "current": {"type": "str"},
            "forward": {"type": "bool", "default": True},
            "keep": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    releases = Releases(Path(module.params["root"]))
    wanted = module.params["current"]
    changed, outdated = False, []
    if wanted:
        changed = releases.current != wanted
        if changed and not module.check_mode:
            releases.make_current(wanted, forward=module.params["forward"])
        outdated = [name for name in releases.outdated(module.params["keep"]) if name != wanted]
        if not module.check_mode:
            for name in outdated:
                releases.remove(name)
    module.exit_json(
        changed=changed or bool(outdated),
        current=wanted if module.check_mode and wanted else releases.current,
        previous=releases.previous,
        activated=releases.activated,
        releases=releases.complete(),
        removed=outdated,
    )


if __name__ == "__main__":
    main()
