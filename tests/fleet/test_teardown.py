"""Whatever happens to a fleet or to its launcher, removing it leaves nothing on this machine."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fleet.conftest import fleet_name
from tests.hosts import network
from tests.hosts.command import HostsError, run
from tests.hosts.fleet import Fleet
from tests.hosts.launch import launch, layers, remove
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.processes import Process, wait_until, with_argument
from tests.hosts.ssh import SOCKETS
from tests.hosts.store import Store

pytestmark = [pytest.mark.fleet, pytest.mark.long]

MakeFleet = Callable[..., Fleet]


def footprint(store: Store, own: str) -> dict[str, set[str]]:
    """What this machine holds of fleets, leaving out those of other runs: all but the one called `own`."""
    others = [plan for plan in store.plans() if plan.name != own]
    locks = [store.host(plan.name, host.name) / "root" for plan in others for host in plan.hosts]
    marks = [f"inode-{lock.stat().st_dev}:{lock.stat().st_ino}" for lock in locks]
    marks += [mark for plan in others for mark in (f"/{plan.name}", plan.prefix)]
    marks += ["obhcache"] if others else []
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    groups = Path("/sys/fs/cgroup").rglob("orbitbot-test-hosts/*/")
    folders = [
        *(store.root / "fleets").glob("*"),
        *Path("/run/systemd/nspawn").glob("*/*"),
        *SOCKETS.glob("*"),
    ]
    found = {
        "interfaces": network.used_names(),
        "rules": set(run(["nft", "list", "tables"]).splitlines()),
        "mounts": {line for line in mounts if str(store.root) in line},
        "control groups": {str(path) for path in groups if path.is_dir()},
        "files": {str(path) for path in folders},
    }
    return {
        kind: {entry for entry in entries if not any(mark in entry for mark in marks)}
        for kind, entries in found.items()
    }


def living(fleet: Fleet) -> list[Process]:
    """Every process of the fleet: keepers, containers and all that runs in them."""
    found = []
    for host in fleet.plan.hosts:
        marked = with_argument(f"--machine={host.machine}")
        pending = list(marked)
        while pending:
            process = pending.pop()
            found.append(process)
            pending += process.children()
    return found


def test_removal_leaves_nothing(store: Store, make_fleet: MakeFleet) -> None:
    before = footprint(store, fleet_name("teardown"))
    fleet = make_fleet("teardown", "a", "b")
    processes = living(fleet)
    assert len(processes) > 20
    during = footprint(store, fleet.plan.name)
    assert [kind for kind in before if not during[kind] > before[kind]] == [], (
        "the footprint misses something"
    )
    fleet.partition("a")
    fleet.kill("b")
    fleet.remove()
    assert footprint(store, fleet.plan.name) == before
    assert [process for process in processes if process.alive] == []
    fleet.remove()
    assert not remove(store, fleet.plan.name)


def test_the_last_fleet_takes_the_package_cache_with_it(store: Store, make_fleet: MakeFleet) -> None:
    fleet = make_fleet("teardown", "a")
    settings = str(store.packages / "settings")
    assert with_argument(settings)
    fleet.remove()
    if not store.plans():
        assert with_argument(settings) == []
        assert "obhcache" not in network.used_names()


def test_connections_that_outlived_their_command_are_closed(store: Store, make_fleet: MakeFleet) -> None:
    fleet = make_fleet("teardown", "a")
    host = fleet.plan.host("a")
    persist = ["-o", "ControlMaster=auto", "-o", "ControlPersist=10m"]
    subprocess.run(
        ["ssh", "-F", fleet.files.settings, *persist, "a", "true"],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert (SOCKETS / host.address).exists()
    masters = with_argument(f"ssh: {SOCKETS / host.address} [mux]")
    assert masters
    fleet.partition("a")  # no word of the host's end gets through
    fleet.remove()
    assert not (SOCKETS / host.address).exists()
    assert [process for process in masters if process.alive] == []


def test_a_killed_launchers_fleet_is_removed(store: Store) -> None:
    name = fleet_name("killed")
    remove(store, name)
    before = footprint(store, name)
    command = [sys.executable, "-m", "tests.hosts", "up", name, "a", "b"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as launcher:
        wait_until((store.fleet(name) / "plan.json").exists, "the plan", 30)
        first = store.load(name).hosts[0]
        wait_until(lambda: with_argument(f"--machine={first.machine}"), "the first container", 30)
        launcher.kill()
    fleet = Fleet.load(store, name)
    processes = living(fleet)
    assert processes
    assert remove(store, name)
    assert footprint(store, name) == before
    assert [process for process in processes if process.alive] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_launcher_removes_its_fleet(store: Store, number: signal.Signals) -> None:
    name = fleet_name("interrupted")
    remove(store, name)
    before = footprint(store, name)
    command = [sys.executable, "-m", "tests.hosts", "up", name, "a"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as launcher:
        wait_until((store.fleet(name) / "hosts").exists, "the first disk", 30)
        launcher.send_signal(number)
        _, words = launcher.communicate(timeout=60)
    assert (launcher.returncode, words) == (130, "test hosts: interrupted\n")
    assert footprint(store, name) == before


def test_a_host_that_does_not_boot_is_reported_and_removed(store: Store, tmp_path: Path) -> None:
    wanted = FleetRequest(name=fleet_name("broken"), hosts=(HostRequest("a"),))
    base = layers(store, wanted)
    broken = store.root / "broken-layer"
    init = broken / "usr" / "local" / "sbin" / "test-host-init"
    init.parent.mkdir(parents=True, exist_ok=True)
    init.write_text("#!/bin/sh\necho no boot today\nexit 1\n")
    init.chmod(0o755)
    before = footprint(store, wanted.name)
    try:
        with pytest.raises(HostsError, match="no boot today"):
            Fleet.create(store, wanted, (broken, *base))
        assert footprint(store, wanted.name) == before
    finally:
        shutil.rmtree(broken)


def test_two_fleets_live_side_by_side(store: Store, make_fleet: MakeFleet) -> None:
    first, second = make_fleet("left", "a", "b"), make_fleet("right", "a", "b")
    assert not first.plan.network.overlaps(second.plan.network)
    first.ssh("a", "touch /root/first")
    assert second.ssh("a", "ls /root") == ""
    peer = second.plan.host("b").address
    with pytest.raises(HostsError, match="Net Unreachable"):
        first.ssh("a", f"ping -c 1 -W 2 {peer}")
    second.partition("b")
    second.remove()
    assert (
        first.ssh("a", f"ping -c 1 -W 2 -q {first.plan.host('b').address} >/dev/null; ls /root") == "first\n"
    )
    assert first.status("b") == "running"


def test_a_name_is_taken_once(store: Store, make_fleet: MakeFleet) -> None:
    fleet = make_fleet("teardown", "a")
    with pytest.raises(HostsError, match="is there already"):
        launch(FleetRequest(name=fleet.plan.name, hosts=(HostRequest("a"),)), store)
    assert fleet.status("a") == "running"
