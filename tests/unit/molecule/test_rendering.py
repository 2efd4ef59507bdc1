"""Files that the launcher writes, read back by what they are for."""

import json
import subprocess
from pathlib import Path

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from tests.hosts.machine import render_network
from tests.hosts.network import render_rules
from tests.hosts.packages import render_settings as render_cache_settings
from tests.hosts.plan import FleetPlan, FleetRequest, HostRequest, plan_fleet
from tests.hosts.ssh import SshFiles, instances, inventory, render_known_hosts, render_settings


@pytest.fixture
def plan() -> FleetPlan:
    wanted = FleetRequest(
        name="demo",
        hosts=(HostRequest("gateway-1", ("gateway", "ai")), HostRequest("bots-1", ("bots",))),
        prefix="obtest",
        subnet="10.77.9.0/24",
    )
    return plan_fleet(wanted, used_prefixes=[], used_networks=[], proxy="http://10.77.255.1:13142")


def test_ssh_reads_its_settings_as_meant(plan: FleetPlan, tmp_path: Path) -> None:
    files = SshFiles(tmp_path)
    files.settings.write_text(render_settings(plan, files))
    for name in ("bots-1", "10.77.9.12"):
        text = subprocess.run(
            ["ssh", "-G", "-F", files.settings, name], capture_output=True, text=True, check=True
        ).stdout
        read = dict(line.split(" ", 1) for line in text.splitlines())
        assert read["hostname"] == "10.77.9.12"
        assert read["user"] == "root"
        assert read["identityfile"] == str(files.key)
        assert read["userknownhostsfile"] == str(files.known_hosts)
        assert read["stricthostkeychecking"] == "true"
        assert read["controlpath"] == "/run/orbitbot-test-hosts/10.77.9.12"
        assert read["controlmaster"] == "false"


def test_host_keys_are_known_by_name_and_address(plan: FleetPlan) -> None:
    keys = {"gateway-1": "ssh-ed25519 AAAA gateway-1", "bots-1": "ssh-ed25519 BBBB bots-1"}
    assert render_known_hosts(plan, keys) == (
        "gateway-1,10.77.9.11 ssh-ed25519 AAAA gateway-1\nbots-1,10.77.9.12 ssh-ed25519 BBBB bots-1\n"
    )


def test_ansible_reads_the_inventory_as_meant(plan: FleetPlan, tmp_path: Path) -> None:
    files = SshFiles(tmp_path)
    files.inventory.write_text(json.dumps(inventory(plan, files)))
    read = InventoryManager(loader=DataLoader(), sources=[str(files.inventory)])
    groups = {
        name: hosts for name, hosts in read.get_groups_dict().items() if name not in ("all", "ungrouped")
    }
    assert groups == {"gateway": ["gateway-1"], "ai": ["gateway-1"], "bots": ["bots-1"]}
    assert read.get_host("bots-1").get_vars()["ansible_host"] == "10.77.9.12"


def test_molecule_gets_every_field_of_an_instance(plan: FleetPlan, tmp_path: Path) -> None:
    files = SshFiles(tmp_path)
    assert instances(plan, files)[1] == {
        "instance": "bots-1",
        "address": "10.77.9.12",
        "user": "root",
        "port": 22,
        "identity_file": str(files.key),
    }


def test_a_host_has_a_gateway(plan: FleetPlan) -> None:
    text = render_network("10.77.9.12/24", plan.gateway)
    assert "\nAddress=10.77.9.12/24\nGateway=10.77.9.1\n" in text


def test_only_the_bridge_and_the_package_cache_are_reachable(plan: FleetPlan) -> None:
    rules = render_rules(plan)
    allowed = "10.77.9.0/24, 10.77.255.1, 224.0.0.0/4, 255.255.255.255"
    assert f'iifname "obtest" ip daddr != {{ {allowed} }} reject' in rules


def test_the_package_cache_sends_no_archive_elsewhere(tmp_path: Path) -> None:
    settings = render_cache_settings(tmp_path, "10.77.255.1")
    assert "BindAddress: 10.77.255.1\n" in settings
    assert "Remap" not in settings
