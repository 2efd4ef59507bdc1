#!/usr/bin/python3
"""Module `host_status`: what runs on a host, of which release, and how full its disks are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_status
short_description: What runs on a host, of which release, and how full its disks are
description:
  - Looks and changes nothing. A host without supervisor, or whose supervisord does not answer, is a result
    and no failure.
options:
  current:
    description: The symbolic link to the current release.
    type: path
    default: /opt/orbitbot/current
  paths:
    description: Paths whose file systems are looked at; those that do not exist are left out.
    type: list
    elements: path
    default: [/, /opt/orbitbot, /var/lib/orbitbot, /var/lib/postgresql, /var/log]
  socket:
    description: supervisord's Unix socket.
    type: path
    default: /run/supervisor.sock
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Look at the host
  host_status:
  register: host
"""

RETURN = r"""
release:
  description: The current release; empty where there is none.
  type: str
  returned: always
deployed_at:
  description: When it became the current one (RFC 3339); empty where there is none.
  type: str
  returned: always
supervisor:
  description: C(running), or why supervisord does not answer.
  type: str
  returned: always
programs:
  description: State of each program of supervisor, by name.
  type: dict
  returned: always
slots:
  description: Service → its active slot, C(a) or C(b).
  type: dict
  returned: always
bot_releases:
  description: Client → the release that its bot's program names.
  type: dict
  returned: always
seals:
  description:
    - How each running bot is sealed off, by its client's id, as the kernel tells.
    - C(by) is C(systemd scope), C(control group) or C(resource limits).
    - C(memory_mib), C(cpu_percent), C(tasks) and C(open_files) are null where nothing limits them.
    - C(sandbox) is whether it has a view of files and processes of its own.
  type: dict
  returned: always
disks:
  description: Mount point, used_percent and free_gib of each file system.
  type: list
  elements: dict
  returned: always
"""

import datetime as dt  # noqa: E402  (a module's documentation comes first)
import http.client  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import xmlrpc.client  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.supervisor_rpc import connect  # noqa: E402

BOT_PREFIX = "bot-"
GROUPS = "orbitbot-bots"  # the folder of the launcher's control groups
SCOPE_PREFIX = "orbitbot-bot-"
ACTIVE_SLOT = re.compile(r"^# Active slot: ([ab])$", re.MULTILINE)
BOT_RELEASE = re.compile(r'ORBITBOT_RELEASE="([^"]*)"')
_LIMIT = re.compile(r"^Max (.+?) {2,}(\d+|unlimited) ", re.MULTILINE)
MIB = 1024**2
GIB = 1024**3
UNLIMITED = 2**60  # version 1 of control groups says "no limit" by a huge number
TIMEOUT = 10.0  # seconds


def programs(path: str) -> tuple[str, dict[str, str], dict[str, int]]:
    """How supervisord is, the state of each of its programs, and the process ids of those that run."""
    try:
        found: Any = connect(path, timeout=TIMEOUT).getAllProcessInfo()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        return f"no answer on {path}: {error}", {}, {}
    states = {each["name"]: each["statename"] for each in found}
    return "running", states, {each["name"]: each["pid"] for each in found if each["pid"]}


def seal(pid: int) -> dict[str, Any]:
    """How a bot is sealed off; the process is the launcher's, in which bubblewrap waits for the bot.

    Raises:
        OSError: it has ended.
    """
    process = Path(f"/proc/{pid}")
    groups = control_groups((process / "cgroup").read_text(), Path("/proc/self/mounts").read_text())
    own = {name: group for name, group in groups.items() if is_a_bots(group)}
    limits = dict(_LIMIT.findall((process / "limits").read_text()))
    return {
        "by": "resource limits" if not own else "systemd scope" if _in_scope(own) else "control group",
        "memory_mib": memory_limit(own) if "memory" in own else _number(limits["data size"], MIB),
        "cpu_percent": cpu_limit(own),
        "tasks": _number(_first_word(own["pids"], "pids.max") if "pids" in own else limits["processes"]),
        "open_files": _number(limits["open files"]),
        "sandbox": has_own_view(process),
    }


def is_a_bots(group: Path) -> bool:
    """Whether the launcher made this control group, or had systemd make it."""
    return f"/{GROUPS}/" in str(group) or (group.suffix == ".scope" and group.name.startswith(SCOPE_PREFIX))


def has_own_view(process: Path) -> bool:
    """Whether what bubblewrap started sees other files and other processes than this host does."""
    children = (process / "task" / process.name / "children").read_text().split()
    if not children:
        return False
    inside, here = Path("/proc", children[0], "ns"), Path("/proc/self/ns")
    return all((inside / kind).readlink() != (here / kind).readlink() for kind in ("mnt", "pid"))


def _in_scope(groups: Mapping[str, Path]) -> bool:
    return any(group.suffix == ".scope" for group in groups.values())


def _number(text: str, unit: int = 1) -> int | None:
    return int(text) // unit if text.isdigit() else None


def control_groups(memberships: str, mounts: str) -> dict[str, Path]:
    """A process's folder for memory, cpu and pids each, in whichever version of control groups holds it."""
    places: dict[str, str] = {}
    for line in mounts.splitlines():
        _, mountpoint, kind, options, *_ = line.split()
        if kind == "cgroup2":
            places[""] = mountpoint
        elif kind == "cgroup":
            places |= dict.fromkeys(options.split(","), mountpoint)
    found: dict[str, Path] = {}
    for line in sorted(memberships.splitlines(), reverse=True):  # version 2, which is number 0, comes last
        _, controllers, path = line.split(":", 2)
        for each in controllers.split(",") if controllers else ("memory", "cpu", "pids"):
            place = places.get(each if controllers else "")
            if place is not None:
                found.setdefault(each, Path(place + path))
    return found


def memory_limit(groups: Mapping[str, Path]) -> int | None:
    """The limit in MiB."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        value = _first_word(groups.get("memory"), name)
        if value.isdigit() and int(value) < UNLIMITED:
            return int(value) // MIB
    return None


def cpu_limit(groups: Mapping[str, Path]) -> int | None:
    """The limit in percent of one core."""
    group = groups.get("cpu")
    quota, period = _first_word(group, "cpu.cfs_quota_us"), _first_word(group, "cpu.cfs_period_us")
    if group is not None and (group / "cpu.max").exists():
        quota, period = (group / "cpu.max").read_text().split()
    return round(100 * int(quota) / int(period)) if quota.isdigit() and period.isdigit() else None


def _first_word(group: Path | None, name: str) -> str:
    path = group / name if group is not None else None
    return path.read_text().split()[0] if path is not None and path.exists() else ""


def seals(pids: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """How every running bot is sealed off; one that ends meanwhile is left out."""
    found = {}
    for name, pid in pids.items():
        if name.startswith(BOT_PREFIX):
            try:
                found[name.removeprefix(BOT_PREFIX)] = seal(pid)
            except OSError:
                continue
    return found


def release(current: Path) -> tuple[str, str]:
    """The current release and when it became that."""
    if not current.is_symlink():
        return "", ""
    since = dt.datetime.fromtimestamp(current.lstat().st_mtime, dt.UTC)
    return current.readlink().name, since.isoformat(timespec="seconds")


def slots(folder: Path) -> dict[str, str]:
    """Service → the slot that nginx passes to, as its file says."""
    found = {path.stem: ACTIVE_SLOT.search(path.read_text("utf-8")) for path in sorted(folder.glob("*.conf"))}
    return {name: match[1] for name, match in found.items() if match}


def bot_releases(folder: Path) -> dict[str, str]:
    """Client → the release that its bot's program names."""
    found = {}
    for path in sorted(folder.glob("orbitbot-bot-*.conf")):
        named = BOT_RELEASE.search(path.read_text("utf-8"))
        found[path.stem.removeprefix("orbitbot-bot-")] = named[1] if named else ""
    return found


def disks(paths: list[str]) -> list[dict[str, Any]]:
    """The file systems of the paths, each once."""
    found: dict[int, dict[str, Any]] = {}
    for path in map(Path, paths):
        if not path.exists() or path.stat().st_dev in found:
            continue
        usage = shutil.disk_usage(path)
        found[path.stat().st_dev] = {
            "mount": str(next(each for each in (path, *path.parents) if os.path.ismount(each))),
            "used_percent": round(100 * (1 - usage.free / usage.total)),
            "free_gib": round(usage.free / GIB, 1),
        }
    return list(found.values())


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "current": {"type": "path", "default": "/opt/orbitbot/current"},
            "paths": {
                "type": "list",
                "elements": "path",
                "default": ["/", "/opt/orbitbot", "/var/lib/orbitbot", "/var/lib/postgresql", "/var/log"],
            },
            "socket": {"type": "path", "default": "/run/supervisor.sock"},
        },
        supports_check_mode=True,
    )
    name, deployed_at = release(Path(module.params["current"]))
    supervisor, states, pids = programs(module.params["socket"])
    module.exit_json(
        changed=False,
        release=name,
        deployed_at=deployed_at,
        supervisor=supervisor,
        programs=states,
        slots=slots(Path("/etc/orbitbot/fronts")),
        bot_releases=bot_releases(Path("/etc/supervisor/conf.d")),
        seals=seals(pids),
        disks=disks(module.params["paths"]),
    )


if __name__ == "__main__":
    main()
