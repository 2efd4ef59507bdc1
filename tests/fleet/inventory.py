"""A fleet of test hosts as an operator's inventory: the example's variables, these hosts' addresses.

python -m tests.fleet.inventory FLEET     writes it beside the fleet's other files and prints where
"""

import json
import shutil
import sys
from pathlib import Path

from tests.hosts.fleet import Fleet
from tests.hosts.plan import FleetPlan
from tests.hosts.ssh import inventory
from tests.hosts.store import Store

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "inventory/example/group_vars"
VAULT = "group_vars/all/vault.yml"
FIRST_MESH_ADDRESS = 11  # last part


def mesh_addresses(plan: FleetPlan) -> dict[str, str]:
    """Host → its address in the mesh."""
    return {host.name: f"10.66.0.{number}" for number, host in enumerate(plan.hosts, FIRST_MESH_ADDRESS)}


def variables(plan: FleetPlan) -> dict[str, dict[str, object]]:
    """What an operator fills in: file below `group_vars` → its variables, in place of the example's."""
    domain = next(host.address for host in plan.hosts if "gateway" in host.groups)
    return {
        "all/mesh.yml": {"mesh_hosts": "{{ groups['all'] }}", "mesh_addresses": mesh_addresses(plan)},
        "all/zz-tests.yml": {
            # No name server knows these hosts: the public name is the first gateway's address.
            "orbitbot_domain": domain,
            "tls_names": ["{{ orbitbot_domain }}", "{{ ansible_host }}"],
            "preflight_disk_mib": 1000,
            "gateway_workers": 1,
            "client_host_load": 1000.0,  # the load that hosts see is this whole machine's
        },
    }


def write(fleet: Fleet) -> Path:
    """Write the inventory into the fleet's own folder, with which it goes; returns its directory.

    A vault that is there already stays.
    """
    folder = fleet.folder / "inventory"
    vault = folder / VAULT
    secrets = vault.read_bytes() if vault.exists() else b""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(EXAMPLE, folder / "group_vars", ignore=shutil.ignore_patterns("vault.yml"))
    if secrets:
        vault.write_bytes(secrets)
    for name, values in variables(fleet.plan).items():
        path = folder / "group_vars" / name
        path.write_text(json.dumps(values, indent=2) + "\n")  # JSON is YAML, too
    hosts = inventory(fleet.plan, fleet.files)
    for values in hosts["all"]["hosts"].values():
        values["inventory_dir"] = str(folder)  # Molecule names an inventory of its own before this one
    (folder / "hosts.yml").write_text(json.dumps(hosts, indent=2) + "\n")
    return folder


if __name__ == "__main__":
    print(write(Fleet.load(Store(), sys.argv[1])))
