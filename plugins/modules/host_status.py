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
disks:
  description: Mount point, used_percent and free_gib of each file system.
  type: list
  elements: dict
  returned: always
"""

import datetime as dt  # noqa: E402  (a module's documentation comes first)
import http.client  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import socket  # noqa: E402
import xmlrpc.client  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

GIB = 1024**3
TIMEOUT = 10.0  # seconds


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002  (there is one socket)
        return _Connection(self._path)


def programs(path: str) -> tuple[str, dict[str, str]]:
    """How supervisord is, and the state of each of its programs."""
    rpc = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(path)).supervisor
    try:
        found: Any = rpc.getAllProcessInfo()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        return f"no answer on {path}: {error}", {}
    return "running", {each["name"]: each["statename"] for each in found}


def release(current: Path) -> tuple[str, str]:
    """The current release and when it became that."""
    if not current.is_symlink():
        return "", ""
    since = dt.datetime.fromtimestamp(current.lstat().st_mtime, dt.UTC)
    return current.readlink().name, since.isoformat(timespec="seconds")


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
    supervisor, states = programs(module.params["socket"])
    module.exit_json(
        changed=False,
        release=name,
        deployed_at=deployed_at,
        supervisor=supervisor,
        programs=states,
        disks=disks(module.params["paths"]),
    )


if __name__ == "__main__":
    main()
