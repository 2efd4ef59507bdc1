"""Bad input to `site.yml`: it stops before anything was changed, naming the value and what is allowed."""

import hashlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import BINARIES, environment

pytestmark = [pytest.mark.integration, pytest.mark.machine]

HOST_FILES = ("/etc", "/opt/orbitbot/current", "/var/lib/orbitbot/installed-packages", "/usr/sbin")
GROUP_VARS = "group_vars/all/test.yml"


class Inventory:
    """A copy of `inventory/local` without its vault, to be spoilt."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "inventory"
        shutil.copytree(REPOSITORY / "inventory/local", self.path, ignore=shutil.ignore_patterns("vault.yml"))

    def set(self, text: str, name: str = GROUP_VARS) -> None:
        """Add a file of variables."""
        (self.path / name).write_text(f"---\n{text}\n")

    def replace(self, name: str, old: str, new: str) -> None:
        """Change one of its files."""
        text = (self.path / name).read_text()
        assert old in text
        (self.path / name).write_text(text.replace(old, new))

    def refused(self) -> str:
        """Run site.yml, which must fail and leave host and inventory as they were; what it printed."""
        before = self._state()
        done = subprocess.run(
            [BINARIES / "ansible-playbook", "-i", self.path, "playbooks/site.yml"],
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        output = done.stdout + done.stderr
        assert done.returncode != 0, output
        assert "changed=0" in output
        assert self._state() == before
        return " ".join(output.split())

    def _state(self) -> list[str]:
        found = []
        for root in (*map(Path, HOST_FILES), self.path):
            paths = sorted(root.rglob("*")) if root.is_dir() and not root.is_symlink() else [root]
            found += [_fingerprint(path) for path in paths if path.is_symlink() or path.exists()]
        return found


def _fingerprint(path: Path) -> str:
    status = path.lstat()
    content = (
        hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
    )
    return f"{path} {status.st_mode:o} {status.st_uid} {content}"


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path)


@pytest.fixture
def used_port() -> Iterator[int]:
    """A port that this test's process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(inventory: Inventory) -> None:
    inventory.set("gateway_wrokers: 4")
    assert (
        f"{GROUP_VARS}: unknown variable gateway_wrokers; did you mean gateway_workers?"
        in inventory.refused()
    )


def test_a_missing_variable_is_named(inventory: Inventory) -> None:
    inventory.replace("group_vars/all/orbitbot.yml", "orbitbot_domain: localhost", "")
    assert "orbitbot_domain" in inventory.refused()


def test_a_role_without_a_needed_variable_is_named(inventory: Inventory) -> None:
    inventory.replace("group_vars/database/postgresql.yml", "postgresql_owner: orbitbot_owner", "")
    assert "role postgresql: missing required arguments: postgresql_owner" in inventory.refused()


def test_a_value_of_the_wrong_type_is_named(inventory: Inventory) -> None:
    inventory.set("gateway_workers: many")
    output = inventory.refused()
    assert "role gateway" in output
    assert "gateway_workers" in output


def test_a_value_that_is_not_allowed_is_named_with_those_that_are(inventory: Inventory) -> None:
    inventory.set("speech_device: tpu")
    assert "value of speech_device must be one of: auto, cpu, cuda, got: tpu" in inventory.refused()


def test_a_group_without_hosts_is_named(inventory: Inventory) -> None:
    inventory.replace("hosts.yml", "    speech:\n      hosts:\n        this-machine:\n", "")
    assert "group speech has no host" in inventory.refused()


def test_a_port_in_use_is_named_with_its_process_and_variable(inventory: Inventory, used_port: int) -> None:
    inventory.replace(
        "group_vars/all/orbitbot.yml", "orbitbot_ai_port: 3001", f"orbitbot_ai_port: {used_port}"
    )
    output = inventory.refused()
    assert f"port {used_port} (orbitbot_ai_port) is in use by process" in output
    assert "set orbitbot_ai_port to a free port" in output


def test_an_unsupported_distribution_is_named_with_the_supported_ones(inventory: Inventory) -> None:
    inventory.set("preflight_distributions: [plan9 4]")
    assert "the distribution is 'debian " in (output := inventory.refused())
    assert "supported: plan9 4" in output


def test_too_little_disk_is_told_in_mib(inventory: Inventory) -> None:
    inventory.replace(
        "group_vars/all/preflight.yml", "preflight_disk_mib: 3000", "preflight_disk_mib: 99999999"
    )
    output = inventory.refused()
    assert "MiB free; a release needs 99999999 MiB (preflight_disk_mib)" in output


def test_an_old_python_is_told(inventory: Inventory) -> None:
    inventory.set('preflight_python: "9.0"')
    assert "needed: 9.0 or later" in inventory.refused()
