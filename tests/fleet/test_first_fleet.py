"""docs/operations/first-fleet.md, followed word by word by a new operator with three bare hosts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.fleet.conftest import fleet_name
from tests.fleet.site import PACKAGES
from tests.hosts.fleet import Fleet
from tests.hosts.launch import launch, remove
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.ssh import SOCKETS
from tests.hosts.store import Store
from tests.support import first_fleet, runbook

pytestmark = [pytest.mark.fleet, pytest.mark.long]

GROUPS = {
    "gateway-1": ("control", "gateway", "ai"),
    "bots-1": ("bots", "speech"),
    "database-1": ("database", "cache", "backup", "monitoring"),
}
COMMAND_TIMEOUT = 900.0  # seconds


@pytest.fixture
def bare(store: Store) -> Iterator[Fleet]:
    """Hosts with nothing of the application on them; the packages spare the test the time of apt."""
    name = fleet_name("first")
    remove(store, name)
    hosts = tuple(HostRequest(host, groups) for host, groups in GROUPS.items())
    try:
        yield launch(FleetRequest(name=name, hosts=hosts, packages=PACKAGES), store)
    finally:
        remove(store, name)


def hosts_file() -> str:
    """What an operator with these hosts makes of hosts.yml."""
    groups = sorted({group for each in GROUPS.values() for group in each})
    children = {
        group: {"hosts": {host: None for host, each in GROUPS.items() if group in each}} for group in groups
    }
    return yaml.safe_dump({"all": {"children": children}})


def addresses(fleet: Fleet) -> str:
    """The lines that stand in place of the page's list of hosts and addresses."""
    return "\n".join(f"{host.name} {host.address}" for host in fleet.plan.hosts)


@pytest.mark.timeout(3000)
def test_the_page_leads_to_a_fleet_that_answers(
    bare: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = first_fleet.check_out(tmp_path / "orbitbot")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("ANSIBLE_SSH_COMMON_ARGS", f"-F {bare.files.settings} -o ControlPath={SOCKETS}/%h")
    gateway = bare.plan.host("gateway-1").address
    listed = next(
        command.text.partition("\n")[2].rpartition("\n")[0]
        for command in runbook.commands(first_fleet.PAGE)
        if command.text.startswith("cat > inventory/fleet/addresses")
    )
    sections = {
        # No name server knows these hosts: the name is the gateway's address.
        "Make the inventory yours": {listed: addresses(bare), "fleet.example.com": gateway},
        "Reach the hosts": {},
        "Install": {},
        "The first client": {},
        "Verify": {},
    }
    for command in first_fleet.commands(sections):
        runbook.run(command, COMMAND_TIMEOUT, checkout=checkout, environment=os.environ)
        if command.text.startswith("cp -r"):  # then the page has the operator edit it
            (checkout / "inventory/fleet/hosts.yml").write_text(hosts_file())
            workers = checkout / "inventory/fleet/group_vars/all/tests.yml"
            workers.write_text("---\npreflight_disk_mib: 1000\ngateway_workers: 1\n")
