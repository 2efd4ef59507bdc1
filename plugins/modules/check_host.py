#!/usr/bin/python3
"""Module `check_host`: whether a host can take the deployment. It looks and changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_host
short_description: Whether a host can take the deployment
description:
  - Checks distribution, Python, free disk space and ports, and fails with every complaint at once, each
    naming the value found, what is allowed and the variable to change.
options:
  distributions:
    description: Supported distributions, as C(ID VERSION_ID) of C(/etc/os-release), such as C(debian 12).
    type: list
    elements: str
    required: true
  python:
    description: Lowest version of the Python that runs modules on the host.
    type: str
    required: true
  disk_path:
    description: Path whose file system needs the space. It need not exist yet.
    type: path
    required: true
  disk_mib:
    description: Free space that is needed there, MiB.
    type: int
    required: true
  disk_variable:
    description: The inventory variable that sets I(disk_mib).
    type: str
    required: true
  ports:
    description: The TCP ports that the deployment will listen on.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The port.
        type: int
        required: true
      variable:
        description: The inventory variable that sets it.
        type: str
        required: true
      owner:
        description: Start of the executable's path or command line of the process that may hold it already.
        type: list
        elements: str
        required: true
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Check the host
  check_host:
    distributions: [debian 12, debian 13]
    python: "3.11"
    disk_path: /opt/orbitbot
    disk_mib: 3000
    disk_variable: preflight_disk_mib
    ports:
      - {port: 443, variable: orbitbot_https_port, owner: [/usr/sbin/nginx]}
"""

import platform  # noqa: E402  (a module's documentation comes first)
import shutil  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

LISTEN = "0A"  # TCP state in /proc/net/tcp
MIB = 1024 * 1024


def os_release(text: str) -> dict[str, str]:
    """The fields of an `os-release` file."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def check_distribution(release: dict[str, str], allowed: list[str]) -> Iterator[str]:
    """A complaint, if the distribution is not supported."""
    found = f"{release.get('ID', 'unknown')} {release.get('VERSION_ID', '')}".strip()
    if found not in allowed:
        yield f"the distribution is {found!r}; supported: {', '.join(allowed)}"


def check_python(found: str, lowest: str) -> Iterator[str]:
    """A complaint, if the Python is too old."""
    if [int(part) for part in found.split(".")[:2]] < [int(part) for part in lowest.split(".")[:2]]:
        yield f"Python is {found}; needed: {lowest} or later (ansible_python_interpreter)"


def check_disk(path: Path, needed: int, variable: str) -> Iterator[str]:
    """A complaint, if the file system of `path` has less than `needed` MiB free."""
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free // MIB
    if free < needed:
        yield f"{path} has {free} MiB free; a release needs {needed} MiB ({variable})"


def listeners(table: str) -> dict[int, set[str]]:
    """Port → inodes of the sockets that listen on it, from `/proc/net/tcp` or `tcp6`."""
    found: dict[int, set[str]] = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[3] == LISTEN:
            found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def processes_of(inodes: set[str]) -> Iterator[int]:
    """The processes that hold one of these sockets."""
    names = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(each.readlink()) in names for each in (process / "fd").iterdir()):
                yield int(process.name)
        except OSError:  # it ended meanwhile
            continue


def describe(pid: int) -> tuple[str, str]:
    """A process's executable and command line."""
    try:
        executable = str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)")
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return "", ""
    return executable, command


def check_port(wanted: dict[str, Any], found: dict[int, set[str]]) -> Iterator[str]:
    """A complaint for each process that holds the port and is not ours."""
    for pid in processes_of(found.get(wanted["port"], set())):
        executable, command = describe(pid)
        if not any(text.startswith(owner) for owner in wanted["owner"] for text in (executable, command)):
            yield (
                f"port {wanted['port']} ({wanted['variable']}) is in use by process {pid} "
                f"({command[:120] or executable}); stop it, or set {wanted['variable']} to a free port"
            )


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "distributions": {"type": "list", "elements": "str", "required": True},
            "python": {"type": "str", "required": True},
            "disk_path": {"type": "path", "required": True},
            "disk_mib": {"type": "int", "required": True},
            "disk_variable": {"type": "str", "required": True},
            "ports": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "port": {"type": "int", "required": True},
                    "variable": {"type": "str", "required": True},
                    "owner": {"type": "list", "elements": "str", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    params = module.params
    found: dict[int, set[str]] = {}
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for port, inodes in listeners(table.read_text("utf-8")).items():
                found.setdefault(port, set()).update(inodes)
    complaints = [
        *check_distribution(os_release(Path("/etc/os-release").read_text("utf-8")), params["distributions"]),
        *check_python(platform.python_version(), params["python"]),
        *check_disk(Path(params["disk_path"]), params["disk_mib"], params["disk_variable"]),
        *(complaint for port in params["ports"] for complaint in check_port(port, found)),
    ]
    if complaints:
        module.fail_json(msg="; ".join(complaints), complaints=complaints)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
