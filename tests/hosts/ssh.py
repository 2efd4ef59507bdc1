"""What reaches the hosts: keys, OpenSSH's settings, an Ansible inventory, Molecule's instance list."""

import json
from pathlib import Path
from typing import Any

from tests.hosts.command import run
from tests.hosts.plan import FleetPlan

# Connections that outlive their command (Ansible's, Testinfra's) keep their sockets here, by address, so that
# they can be closed together with the host: a forgotten one would hang the next fleet's first command.
SOCKETS = Path("/run/orbitbot-test-hosts")
USER = "root"
PORT = 22


class SshFiles:
    """The SSH files of one fleet.

    Attributes:
        key: the private key that opens every host of the fleet.
        settings: for `ssh -F`; knows every host by name and by address, and checks host keys.
        inventory: for `ansible-playbook -i`.
        instances: Molecule's `instance_config.yml`.
    """

    def __init__(self, folder: Path) -> None:
        self.key = folder / "key"
        self.known_hosts = folder / "known_hosts"
        self.settings = folder / "ssh_config"
        self.inventory = folder / "inventory.json"
        self.instances = folder / "instance_config.yml"

    def write(self, plan: FleetPlan, host_keys: dict[str, str]) -> None:
        """Write everything that names the hosts.

        Args:
            host_keys: the public key of every host, by the host's name.
        """
        self.known_hosts.write_text(render_known_hosts(plan, host_keys))
        self.settings.write_text(render_settings(plan, self))
        self.inventory.write_text(_json(inventory(plan, self)))
        self.instances.write_text(_json(instances(plan, self)))  # JSON is YAML, too


def generate_key(path: Path, comment: str) -> str:
    """Make an Ed25519 key pair without passphrase at `path` and return the public half."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
    return path.with_name(f"{path.name}.pub").read_text().strip()


def render_known_hosts(plan: FleetPlan, host_keys: dict[str, str]) -> str:
    """One line for each host, see sshd(8)."""
    return "".join(f"{host.name},{host.address} {host_keys[host.name]}\n" for host in plan.hosts)


def render_settings(plan: FleetPlan, files: SshFiles) -> str:
    """See ssh_config(5)."""
    addresses = "".join(f"Host {host.name}\n  HostName {host.address}\n" for host in plan.hosts)
    everyone = " ".join(f"{host.name} {host.address}" for host in plan.hosts)
    return f"""\
{addresses}Host {everyone}
  User {USER}
  Port {PORT}
  IdentityFile {files.key}
  IdentitiesOnly yes
  UserKnownHostsFile {files.known_hosts}
  StrictHostKeyChecking yes
  BatchMode yes
  ControlPath {SOCKETS}/%h
  ServerAliveInterval 5
  ServerAliveCountMax 3
  LogLevel ERROR
"""


def inventory(plan: FleetPlan, files: SshFiles) -> dict[str, Any]:
    """The fleet as an Ansible inventory: hosts, and the groups that they were given."""
    hosts = {
        host.name: {
            "ansible_host": host.address,
            "ansible_user": USER,
            "ansible_ssh_common_args": f"-F {files.settings} -o ControlPath={SOCKETS}/%h",
        }
        for host in plan.hosts
    }
    groups = sorted({group for host in plan.hosts for group in host.groups})
    children: dict[str, Any] = {
        group: {"hosts": {host.name: {} for host in plan.hosts if group in host.groups}} for group in groups
    }
    return {"all": {"hosts": hosts, "children": children}}


def instances(plan: FleetPlan, files: SshFiles) -> list[dict[str, Any]]:
    """The fleet as Molecule's default driver wants it."""
    return [
        {
            "instance": host.name,
            "address": host.address,
            "user": USER,
            "port": PORT,
            "identity_file": str(files.key),
        }
        for host in plan.hosts
    ]


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
