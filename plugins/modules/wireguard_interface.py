#!/usr/bin/python3
"""Module `wireguard_interface`: a WireGuard interface that is up with exactly the wanted peers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wireguard_interface
short_description: A WireGuard interface that is up with its present peers
description:
  - Writes the interface's file (mode 0600) with the private key from I(key_file), enables C(wg-quick@) and
    has the interface up.
  - Compares what runs with what is wanted, so that an interrupted run is made good by the next one. Peers
    and the port change by C(wg syncconf), which leaves the traffic of the other peers alone. Only another
    address or MTU, or an interface that is gone, restarts it.
  - A peer without a public key keeps the one that the file has for it; if there is none, the peer is left
    out and named in RV(waiting).
options:
  name:
    description: The interface.
    type: str
    required: true
  address:
    description: Its address with the length of the network's prefix, such as C(10.66.0.1/24).
    type: str
    required: true
  port:
    description: UDP port that it listens on.
    type: int
    required: true
  mtu:
    description: Largest packet inside the mesh, bytes.
    type: int
    required: true
  key_file:
    description: File with the private key.
    type: path
    required: true
  keepalive:
    description: Seconds between packets that keep a way through address translation open; 0 sends none.
    type: int
    default: 0
  peers:
    description: The peers.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name, a comment in the file.
        type: str
        required: true
      address:
        description: Its address in the mesh.
        type: str
        required: true
      public_key:
        description: Its public key; empty if it is not known in this run.
        type: str
        required: true
      endpoint:
        description: C(HOST:PORT) where it is reached; empty if it can only reach others.
        type: str
        required: true
  directory:
    description: Where C(wg-quick) has its files.
    type: path
    default: /etc/wireguard
  state:
    description: C(up), or C(absent) to stop the interface and remove its file. The key stays.
    type: str
    choices: [up, absent]
    default: up
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Have the mesh up
  wireguard_interface:
    name: mesh0
    address: 10.66.0.1/24
    port: 51820
    mtu: 1420
    key_file: /etc/wireguard/mesh0.key
    peers:
      - {name: db, address: 10.66.0.2, public_key: "...", endpoint: "192.0.2.7:51820"}
"""

RETURN = r"""
actions:
  description: What was done, in order.
  type: list
  elements: str
  returned: always
waiting:
  description: Peers that were left out, because nobody knows their keys yet.
  type: list
  elements: str
  returned: always
"""

import hashlib  # noqa: E402  (a module's documentation comes first)
import ipaddress  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

HIDDEN = "(hidden)"
_PEER = re.compile(r"^# (\S+)\n\[Peer\]\nPublicKey = (\S+)$", re.MULTILINE)
_APPLIED = Path("/run/orbitbot")  # emptied by a reboot, after which wg-quick has read the file as it is


def known_keys(text: str) -> dict[str, str]:
    """Public keys by the peers' names, from a file that `render` wrote."""
    return dict(_PEER.findall(text))


def render(params: dict[str, Any], private_key: str) -> str:
    """The file for `wg-quick`. Peers without a public key are left out."""
    parts = [
        "# Managed by Ansible\n"
        "[Interface]\n"
        f"Address = {params['address']}\n"
        f"ListenPort = {params['port']}\n"
        f"MTU = {params['mtu']}\n"
        f"PrivateKey = {private_key}\n"
    ]
    for peer in params["peers"]:
        if not peer["public_key"]:
            continue
        lines = [f"# {peer['name']}", "[Peer]", f"PublicKey = {peer['public_key']}"]
        lines.append(f"AllowedIPs = {peer['address']}/32")
        if peer["endpoint"]:
            lines.append(f"Endpoint = {peer['endpoint']}")
            if params["keepalive"]:
                lines.append(f"PersistentKeepalive = {params['keepalive']}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def wanted_state(params: dict[str, Any], private_key: str) -> dict[str, Any]:
    """What `running_state` gives once the interface has all that `render` wrote."""
    keepalive = str(params["keepalive"] or "off")
    return {
        "private key": private_key,
        "port": str(params["port"]),
        "peers": {
            peer["public_key"]: (f"{peer['address']}/32", keepalive if peer["endpoint"] else "off")
            for peer in params["peers"]
            if peer["public_key"]
        },
    }


def running_state(dump: str) -> dict[str, Any]:
    """The same facts from `wg show INTERFACE dump`. Endpoints are left out: a peer may have moved."""
    first, *rows = (line.split("\t") for line in dump.splitlines())
    return {"private key": first[0], "port": first[2], "peers": {row[0]: (row[3], row[7]) for row in rows}}


class Interface:
    """One interface on this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._params = module.params
        self._name = module.params["name"]
        self._unit = f"wg-quick@{self._name}.service"
        self._path = Path(module.params["directory"]) / f"{self._name}.conf"
        self._record = _APPLIED / f"{self._name}.applied"
        self.actions: list[str] = []
        self.waiting: list[str] = []
        self.diff: dict[str, str] = {}

    def up(self) -> None:
        """Have the file as wanted and the interface up with it."""
        key_file = Path(self._params["key_file"])
        before = self._path.read_text("utf-8") if self._path.exists() else ""
        self._complete(known_keys(before))
        if not key_file.exists():  # only in check mode: the key is yet to be made
            self._do("start", lambda: None)
            return
        private_key = key_file.read_text("ascii").strip()
        text = render(self._params, private_key)
        if text != before:
            self.diff = {
                "before": re.sub(r"(?m)^(PrivateKey = ).*$", rf"\1{HIDDEN}", before),
                "after": render(self._params, HIDDEN),
                "before_header": str(self._path),
                "after_header": str(self._path),
            }
            self._do("write", lambda: self._write(text))
        if self._call(["systemctl", "is-enabled", self._unit])[0] != 0:
            self._do("enable", lambda: self._run(["systemctl", "enable", self._unit]))
        self._apply(text, private_key)

    def remove(self) -> None:
        """Have the interface down, not started at boot, and its file gone."""
        if self._call(["systemctl", "is-enabled", self._unit])[0] == 0 or self._link():
            self._do("stop", lambda: self._run(["systemctl", "disable", "--now", self._unit]))
        if self._path.exists():
            self._do("remove", self._path.unlink)
        if not self._module.check_mode:
            self._record.unlink(missing_ok=True)

    def _complete(self, known: dict[str, str]) -> None:
        for peer in self._params["peers"]:
            peer["public_key"] = peer["public_key"] or known.get(peer["name"], "")
            if not peer["public_key"]:
                self.waiting.append(peer["name"])

    def _apply(self, text: str, private_key: str) -> None:
        link = self._link()
        wanted = ipaddress.IPv4Interface(self._params["address"])
        if not link:
            self._do("start", lambda: self._run(["systemctl", "restart", self._unit]))
        elif link != (wanted, self._params["mtu"]):
            self._do("restart", lambda: self._run(["systemctl", "restart", self._unit]))
        elif self._call(["systemctl", "is-active", self._unit])[0] != 0:
            self._module.fail_json(
                msg=f"the interface {self._name} is up, but not by {self._unit}: stop what made it, or set "
                "another mesh_interface"
            )
        elif not self._runs_with(text, private_key):
            self._do("sync", lambda: self._sync(text))
        if not self._module.check_mode:
            _APPLIED.mkdir(mode=0o755, exist_ok=True)
            self._record.write_text(_digest(text), "ascii")

    def _link(self) -> tuple[ipaddress.IPv4Interface, int] | None:
        """The interface's address and MTU; None when there is no such interface."""
        if not Path("/sys/class/net", self._name).exists():
            return None
        shown = json.loads(self._run(["ip", "-json", "-4", "address", "show", "dev", self._name]))
        addresses = [
            ipaddress.IPv4Interface(f"{each['local']}/{each['prefixlen']}")
            for link in shown
            for each in link.get("addr_info", [])
        ]
        mtu = int(Path("/sys/class/net", self._name, "mtu").read_text("ascii"))
        return (addresses[0] if len(addresses) == 1 else ipaddress.IPv4Interface("0.0.0.0/0"), mtu)

    def _runs_with(self, text: str, private_key: str) -> bool:
        if self._record.exists() and self._record.read_text("ascii") != _digest(text):
            return False
        running = running_state(self._run(["wg", "show", self._name, "dump"]))
        return running == wanted_state(self._params, private_key)

    def _sync(self, text: str) -> None:
        stripped = re.sub(r"(?m)^(Address|MTU) = .*\n", "", text)
        with tempfile.NamedTemporaryFile("w", dir="/run", prefix="wireguard-", encoding="utf-8") as file:
            file.write(stripped)
            file.flush()
            self._run(["wg", "syncconf", self._name, file.name])

    def _write(self, text: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _call(self, command: list[str]) -> tuple[int, str, str]:
        status, out, err = self._module.run_command(command)
        return status, out, err

    def _run(self, command: list[str]) -> str:
        status, out, err = self._call(command)
        if status != 0:
            self._module.fail_json(msg=f"`{' '.join(command)}` failed: {(err or out).strip()}")
        return out

    def _do(self, action: str, call: Callable[[], object]) -> None:
        self.actions.append(action)
        if not self._module.check_mode:
            call()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


PEER_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "public_key": {"type": "str", "required": True, "no_log": False},
    "endpoint": {"type": "str", "required": True},
}


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "name": {"type": "str", "required": True},
            "address": {"type": "str"},
            "port": {"type": "int"},
            "mtu": {"type": "int"},
            "key_file": {"type": "path", "no_log": False},
            "keepalive": {"type": "int", "default": 0},
            "peers": {"type": "list", "elements": "dict", "options": PEER_OPTIONS},
            "directory": {"type": "path", "default": "/etc/wireguard"},
            "state": {"type": "str", "choices": ["up", "absent"], "default": "up"},
        },
        required_if=[("state", "up", ("address", "port", "mtu", "key_file", "peers"))],
        supports_check_mode=True,
    )
    interface = Interface(module)
    if module.params["state"] == "absent":
        interface.remove()
    else:
        interface.up()
    module.exit_json(
        changed=bool(interface.actions),
        actions=interface.actions,
        waiting=interface.waiting,
        diff=interface.diff,
    )


if __name__ == "__main__":
    main()
