#!/usr/bin/python3
"""Module `bot_headroom`: what a host of bots has left, and whose bots and states it has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bot_headroom
short_description: What a host of bots has left, and whose bots and states it has
description:
  - Looks and changes nothing. What it measures is what C(POST /api/fleet/placements) takes.
options:
  supervisor_directory:
    description: Where supervisor reads program files.
    type: path
    default: /etc/supervisor/conf.d
  state_root:
    description: Where the bots' own directories are.
    type: path
    default: /var/lib/orbitbot/bots
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Measure the host
  bot_headroom:
  register: headroom
"""

RETURN = r"""
measure:
  description: bots, totalMib, freeMib, processors and load (of 5 minutes, divided by the processors).
  type: dict
  returned: always
programs:
  description: Ids of the clients that supervisor has a program of.
  type: list
  elements: str
  returned: always
states:
  description: Ids of the clients of which there is a state directory.
  type: list
  elements: str
  returned: always
"""

import os  # noqa: E402  (a module's documentation comes first)
import re  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

PROGRAM = re.compile(r"orbitbot-bot-([a-z][a-z0-9-]{1,30})\.conf")
CLIENT = re.compile(r"[a-z][a-z0-9-]{1,30}")
KIB_PER_MIB = 1024
_FIVE_MINUTES = 1  # of the three averages


def measure(meminfo: str, load: float, processors: int, bots: int) -> dict[str, Any]:
    """What is left, in the form of the API."""
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB$", meminfo, re.MULTILINE))
    return {
        "bots": bots,
        "totalMib": int(memory["MemTotal"]) // KIB_PER_MIB,
        "freeMib": int(memory["MemAvailable"]) // KIB_PER_MIB,
        "processors": processors,
        "load": round(load / processors, 3),
    }


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "supervisor_directory": {"type": "path", "default": "/etc/supervisor/conf.d"},
            "state_root": {"type": "path", "default": "/var/lib/orbitbot/bots"},
        },
        supports_check_mode=True,
    )
    files = _names(Path(module.params["supervisor_directory"]))
    programs = [found[1] for found in map(PROGRAM.fullmatch, files) if found]
    states = [name for name in _names(Path(module.params["state_root"])) if CLIENT.fullmatch(name)]
    module.exit_json(
        changed=False,
        measure=measure(
            Path("/proc/meminfo").read_text(),
            os.getloadavg()[_FIVE_MINUTES],
            os.cpu_count() or 1,
            len(programs),
        ),
        programs=programs,
        states=states,
    )


if __name__ == "__main__":
    main()
