"""Three real hosts with hardening, firewall and mesh, and nothing of the application on them.

`a` serves the public, `b` holds data for the mesh, `c` runs bots. What listens there are stand-ins that take
any connection: what counts is who gets that far.
"""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import BINARIES, Run, environment
from tests.fleet import outside
from tests.hosts.fleet import Fleet

MESH = {"a": "10.66.0.1", "b": "10.66.0.2", "c": "10.66.0.3"}
METADATA = "169.254.169.254"
DATABASE, CACHE, UNDECLARED = 5432, 6379, 9000
LISTENING = {"a": (80, 443, 3000), "b": (DATABASE, CACHE, UNDECLARED), "c": (80, DATABASE, CACHE)}
VARIABLES: dict[str, dict[str, Any]] = {
    "a": {"firewall_public_tcp": [80, 443]},
    "b": {"firewall_mesh_open": [{"port": DATABASE, "sources": [MESH["a"]]}, {"port": CACHE}]},
    "c": {},
}
_LISTEN = (
    "import selectors, socket, sys\n"
    "waiting = selectors.DefaultSelector()\n"
    "for port in map(int, sys.argv[1:]):\n"
    "    waiting.register(socket.create_server(('', port)), selectors.EVENT_READ)\n"
    "while True:\n"
    "    for key, _ in waiting.select(): key.fileobj.accept()[0].close()\n"
)


class Ground:
    """The hosts and the playbook that prepares them."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self.first = Run(0, "")
        self._folder = folder

    def prepare(self) -> None:
        """Run the playbook for the first time and start what listens."""
        self.first = self.play().require_success()
        for host in LISTENING:
            self.listen(host)

    def listen(self, host: str) -> None:
        """Start what listens on a host: after it was made, and after each boot."""
        ports = " ".join(map(str, LISTENING[host]))
        self.fleet.ssh(host, f'systemd-run --quiet --unit=stand-ins python3 -c "{_LISTEN}" {ports}')
        if host == "c":
            self.fleet.ssh(host, f"ip address add {METADATA}/32 dev lo")

    def play(self, *arguments: str, hosts: Iterable[str] = "abc", role: str = "", **variables: Any) -> Run:
        """Run the playbook on an inventory of `hosts`, or only one role of it; `variables` are extra ones."""
        if role:
            variables["ground_roles"] = [role]
        playbook = str(REPOSITORY / "tests/fleet/network.yml")
        return self._run("ansible-playbook", hosts, playbook, "-e", json.dumps(variables), *arguments)

    def module(self, host: str, name: str, **arguments: Any) -> Run:
        """Run one of the project's modules on a host."""
        words = ["-a", json.dumps(arguments)] if arguments else []
        return self._run("ansible", "abc", host, "-m", name, *words)

    def connects(self, host: str, target: str, port: int, user: str = "root") -> bool:
        """See `outside.connects`."""
        return outside.connects(self.fleet, host, target, port, user)

    def open_ports(self, host: str, ports: Iterable[int]) -> set[int]:
        """See `outside.open_ports`."""
        return outside.open_ports(self.fleet.plan.host(host).address, ports)

    def can_log_in(self, host: str) -> bool:
        """Whether a new SSH connection succeeds, tried once."""
        command = self.fleet.ssh_command(host, "true")
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    def _run(self, program: str, hosts: Iterable[str], *arguments: str) -> Run:
        done = subprocess.run(
            [str(BINARIES / program), "-i", str(self._inventory(hosts)), *arguments],
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=280,
        )
        return Run(done.returncode, done.stdout)

    def _inventory(self, hosts: Iterable[str]) -> Path:
        found = json.loads(self.fleet.files.inventory.read_text())["all"]["hosts"]
        chosen = {host: found[host] | VARIABLES[host] for host in hosts}
        shared = {"mesh_hosts": "{{ groups['all'] }}", "mesh_addresses": MESH}
        path = self._folder / f"{''.join(chosen)}.json"
        path.write_text(json.dumps({"all": {"hosts": chosen, "vars": shared}}))
        return path
