"""The launcher on a machine whose PID 1 is systemd, as an operator's is: a test host is such a machine."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.fleet.conftest import fleet_name
from tests.hosts import doctor
from tests.hosts.fleet import Fleet
from tests.hosts.launch import launch, remove
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.store import Store

pytestmark = [pytest.mark.fleet, pytest.mark.long]

ROOT = Path(__file__).parents[2]
TOOL = "cd /root/launcher && python3 -m tests.hosts --store /tmp/store"  # a memory disk: overlays do not nest
HOG = "python3 -c \"len(b'x' * (100 << 20))\""


@pytest.fixture(scope="module")
def machine(store: Store) -> Iterator[Fleet]:
    """A fleet of one host, `outer`, which has the launcher and its base image."""
    name = fleet_name("outer")
    remove(store, name)
    packages = tuple(sorted(set(doctor.PROGRAMS.values())))
    fleet = launch(FleetRequest(name=name, hosts=(HostRequest("outer"),), packages=packages), store)
    try:
        image = fleet.plan.layers[-1]
        _send(fleet, ROOT, "tests/__init__.py", "tests/hosts", to="/root/launcher")
        _send(fleet, Path(msgspec.__file__).parents[1], "msgspec", to="/root/launcher")
        _send(fleet, image.parent, f"{image.name}.tar.zst", to="/tmp/store/images")
        yield fleet
    finally:
        remove(store, name)


def _send(fleet: Fleet, folder: Path, *names: str, to: str) -> None:
    receive = fleet.ssh_command("outer", f"mkdir -p {to} && tar -x -C {to}")
    with subprocess.Popen(["tar", "-c", "-C", folder, *names], stdout=subprocess.PIPE) as tar:
        subprocess.run(receive, stdin=tar.stdout, check=True, timeout=60)
    assert tar.returncode == 0


def test_hosts_live_in_scopes_and_leave_nothing(machine: Fleet) -> None:
    def tool(arguments: str) -> str:
        return machine.ssh("outer", f"{TOOL} {arguments}", timeout=120)

    footprint = (
        "ls /sys/class/net; nft list tables; machinectl --no-legend; ls /run/systemd/nspawn/*; "
        "grep -c /tmp/store /proc/mounts; systemctl list-units --no-legend 'machine-*'"
    )
    machine.ssh("outer", f"{TOOL} down --all; mkdir -p /run/systemd/nspawn/{{locks,propagate}}")
    before = machine.ssh("outer", footprint)

    tool("up inner a b")
    assert machine.ssh("outer", "machinectl --no-legend | wc -l") == "2\n"
    assert machine.ssh("outer", footprint) != before

    tool(f"exec inner a -- systemd-run --wait --quiet {HOG}")
    limited = f"exec inner a -- systemd-run --wait --quiet -p MemoryMax=30M -p MemorySwapMax=0 {HOG}"
    assert machine.ssh("outer", f"{TOOL} {limited} || echo killed") == "killed\n"
    tool("exec inner a -- systemctl reset-failed")

    tool("kill inner a")
    assert "inner\ta\t" in tool("list")
    assert tool("list").count("\toff\n") == 1
    assert tool("start inner a") == "a\trunning\n"
    tool("stop inner b")
    assert tool("start inner b") == "b\trunning\n"
    assert tool("list").count("\trunning\n") == 2

    assert tool("down inner") == "inner\tremoved\n"
    assert machine.ssh("outer", footprint) == before
