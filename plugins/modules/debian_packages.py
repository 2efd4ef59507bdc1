#!/usr/bin/python3
"""Module `debian_packages`: installs Debian packages and records which ones were new on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: debian_packages
short_description: Debian packages, with a record of what was newly installed
description:
  - Installs what is missing, without recommended packages.
  - Everything that was not on the host before, dependencies included, is added to a record before it is
    installed, so that I(state=removed) takes away exactly that, also after an interrupted run.
  - Where nothing is missing this costs one call of C(dpkg-query), and apt is not asked.
options:
  name:
    description: The packages. Needed with I(state=present).
    type: list
    elements: str
    default: []
  state:
    description:
      - C(present) installs what is missing.
      - C(removed) removes every recorded package that is still installed. Its data and configuration stay.
      - C(purged) does the same, and takes their data and configuration along.
    type: str
    choices: [present, removed, purged]
    default: present
  record:
    description: The record, one package a line.
    type: path
    default: /var/lib/orbitbot/installed-packages
  lists_valid_time:
    description: Seconds for which the package lists are taken as fresh.
    type: int
    default: 86400
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Install Redis
  debian_packages:
    name: [redis-server]
"""

RETURN = r"""
packages:
  description: The packages that were installed or removed.
  type: list
  elements: str
  returned: always
"""

import re  # noqa: E402  (a module's documentation comes first)
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

APT_LISTS = Path("/var/lib/apt/lists")
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
LOCK_TIMEOUT = "DPkg::Lock::Timeout=120"  # seconds to wait for another apt
OPTIONS = ["-y", "-q", "--no-install-recommends", "-o", LOCK_TIMEOUT, "-o", "Dpkg::Options::=--force-confold"]
_SIMULATED = re.compile(r"^Inst (\S+) (?!\[)", re.MULTILINE)  # with "[version]" it is an upgrade


def installed(module: AnsibleModule, names: list[str]) -> set[str]:
    """Those of `names` that are fully installed."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *names]
    _, out, _ = module.run_command(query, environ_update=ENVIRONMENT)  # status 1: some are unknown
    rows = (line.split() for line in out.splitlines())
    return {row[0] for row in rows if row[1:] == ["installed"]}


def newly_installed(simulation: str) -> list[str]:
    """The packages that `apt-get --simulate install` would add, from its output."""
    return [name.partition(":")[0] for name in _SIMULATED.findall(simulation)]


def read_record(path: Path) -> list[str]:
    """The recorded packages."""
    return path.read_text("utf-8").split() if path.exists() else []


def write_record(path: Path, names: list[str]) -> None:
    """Replace the record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text("".join(f"{name}\n" for name in names), "utf-8")
    draft.replace(path)


def lists_are_fresh(valid_time: int) -> bool:
    """Whether package lists are there and were fetched less than `valid_time` seconds ago."""
    indexes = list(APT_LISTS.glob("*_Packages*"))
    return bool(indexes) and time.time() - APT_LISTS.stat().st_mtime < valid_time


def apt_get(module: AnsibleModule, *arguments: str) -> str:
    """Run apt-get; its output. Ends the module with apt's own words when it fails."""
    status, out, err = module.run_command(["apt-get", *OPTIONS, *arguments], environ_update=ENVIRONMENT)
    if status != 0:
        words = [line for line in err.splitlines() if line.startswith("E:")] or err.splitlines()[-5:]
        module.fail_json(msg=f"apt-get {' '.join(arguments)} failed: {' '.join(words)}", stderr=err)
    return str(out)


def install(module: AnsibleModule, names: list[str], record: Path) -> list[str]:
    """Install what is missing of `names`; all that was new on the host."""
    missing = sorted(set(names) - installed(module, names))
    if not missing or module.check_mode:
        return missing
    if not lists_are_fresh(module.params["lists_valid_time"]):
        apt_get(module, "update")
    new = newly_installed(apt_get(module, "--simulate", "install", *missing))
    write_record(record, list(dict.fromkeys(read_record(record) + new)))
    apt_get(module, "install", *missing)
    return new


def remove(module: AnsibleModule, record: Path, *, purge: bool) -> list[str]:
    """Remove what the record names and is still installed; the record goes with it."""
    recorded = read_record(record)
    present = sorted(installed(module, recorded)) if recorded else []
    if module.check_mode:
        return present
    if present or (purge and recorded):
        apt_get(module, "purge" if purge else "remove", *(recorded if purge else present))
    record.unlink(missing_ok=True)
    return present


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "name": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "removed", "purged"], "default": "present"},
            "record": {"type": "path", "default": "/var/lib/orbitbot/installed-packages"},
            "lists_valid_time": {"type": "int", "default": 86400},
        },
        supports_check_mode=True,
    )
    record = Path(module.params["record"])
    if module.params["state"] == "present":
        packages = install(module, module.params["name"], record)
    else:
        packages = remove(module, record, purge=module.params["state"] == "purged")
    module.exit_json(changed=bool(packages), packages=packages)


if __name__ == "__main__":
    main()
