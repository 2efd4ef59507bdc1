"""`inventory/example`: it passes the validation of `site.yml`, however its groups are split over hosts.

The runs end before any host is touched: the validation is over when the lock refuses a time that is none.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import playbook

EXAMPLE = REPOSITORY / "inventory/example"
GROUPS = ["control", "gateway", "ai", "bots", "speech", "database", "cache", "backup", "monitoring"]
VALID = "lock_wait: 'none' is not allowed"


class Inventory:
    """A copy of the example, as a new operator makes one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fleet"
        shutil.copytree(EXAMPLE, self.path, ignore=shutil.ignore_patterns("vault.yml"))

    def split(self, groups: dict[str, list[str]]) -> None:
        """Give it other hosts: group → its hosts."""
        hosts = sorted({host for members in groups.values() for host in members})
        children = {group: {"hosts": dict.fromkeys(members)} for group, members in groups.items() if members}
        (self.path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
        shutil.rmtree(self.path / "host_vars")
        for number, host in enumerate(hosts, 10):
            (self.path / "host_vars" / host).mkdir(parents=True)
            self.write(f"host_vars/{host}/connection.yml", {"ansible_host": f"192.0.2.{number}"})
        mesh = yaml.safe_load((self.path / "group_vars/all/mesh.yml").read_text())
        addresses = {host: f"10.66.0.{number}" for number, host in enumerate(hosts, 10)}
        self.write("group_vars/all/mesh.yml", mesh | {"mesh_addresses": addresses})

    def write(self, name: str, variables: dict[str, Any]) -> None:
        """Write a file of variables."""
        (self.path / name).write_text(f"---\n{yaml.safe_dump(variables)}")

    def replace(self, name: str, old: str, new: str) -> None:
        """Change one of its files."""
        text = (self.path / name).read_text()
        assert old in text
        (self.path / name).write_text(text.replace(old, new))

    def validated(self) -> str:
        """What site.yml says of it, on one line."""
        done = playbook("site", "-e", "lock_wait=none", inventory=self.path)
        assert done.status != 0
        assert "unreachable=1" not in done.output
        return " ".join(done.output.split())


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path)


def test_the_example_is_valid_as_it_is(inventory: Inventory) -> None:
    assert VALID in inventory.validated()


@pytest.mark.parametrize(
    "split",
    [
        pytest.param({group: ["one"] for group in GROUPS}, id="all on one"),
        pytest.param({group: [f"{group}-1"] for group in GROUPS}, id="one each"),
        pytest.param(
            {group: ["left"] if group in ("database", "cache", "speech") else ["right"] for group in GROUPS}
            | {"bots": ["left", "right"], "ai": ["left", "right"]},
            id="two, with groups on both",
        ),
    ],
)
def test_any_split_of_its_groups_is_valid(inventory: Inventory, split: dict[str, list[str]]) -> None:
    inventory.split(split)
    assert VALID in inventory.validated()


def test_everything_that_is_wrong_is_named_at_once(inventory: Inventory) -> None:
    inventory.replace("group_vars/all/orbitbot.yml", "orbitbot_domain:", "orbitbot_domian:")
    inventory.replace(
        "group_vars/database/postgresql.yml", "vault_database_owner_password", "vault_database_owner"
    )
    inventory.replace("group_vars/all/mesh.yml", "  gpu-2: ", "  gpu-3: ")
    inventory.write("group_vars/bots/limits.yml", {"supervisor_zzz": 1})
    inventory.write("group_vars/gateway/workers.yml", {"gateway_workers": "many"})
    (inventory.path / "group_vars/gatway").mkdir()
    inventory.write("group_vars/gatway/nginx.yml", {"nginx_body_limit": "20m"})
    inventory.write(
        "host_vars/bots-1/connection.yml", {"ansible_host": "{{ inventory_hostname }}.example.org"}
    )
    said = inventory.validated()
    assert VALID not in said
    for complaint in (
        "group_vars/all/orbitbot.yml: unknown variable orbitbot_domian; did you mean orbitbot_domain?",
        "role preflight: missing required arguments: orbitbot_domain",
        "group_vars/bots/limits.yml: unknown variable supervisor_zzz",
        "gateway-1, gateway-2: role gateway: argument 'gateway_workers' is of type str",
        "group_vars/gatway/nginx.yml: there is no group gatway; did you mean gateway?",
        "host_vars/bots-1/connection.yml: ansible_host is made from inventory_hostname",
        "did you mean vault_database_owner_password?",
    ):
        assert complaint in said
    assert re.search(r"gpu-2: role preflight: orbitbot_address: .*gpu-2", said)


def test_the_hosts_file_has_no_variables_and_every_host_has_its_address() -> None:
    hosts = yaml.safe_load((EXAMPLE / "hosts.yml").read_text())["all"]
    assert hosts.keys() == {"children"}
    assert hosts["children"].keys() == set(GROUPS)
    named = set()
    for group in hosts["children"].values():
        assert group.keys() == {"hosts"}
        assert all(variables is None for variables in group["hosts"].values())
        named |= group["hosts"].keys()
    addresses = {
        path.parent.name: yaml.safe_load(path.read_text())["ansible_host"]
        for path in EXAMPLE.glob("host_vars/*/connection.yml")
    }
    assert addresses.keys() == named
    assert len(set(addresses.values())) == len(named)
    assert all(address.startswith("192.0.2.") for address in addresses.values())


def test_variables_are_in_files_named_after_the_role_that_they_are_for() -> None:
    """`all/connection.yml` holds Ansible's own, `all/orbitbot.yml` what roles share."""
    for path in EXAMPLE.glob("*_vars/*/*.yml"):
        names = yaml.safe_load(path.read_text())
        prefix = {"connection": "ansible", "network": r"(hardening|firewall|mesh)"}.get(path.stem, path.stem)
        assert all(re.match(prefix + "_", name) for name in names), path
