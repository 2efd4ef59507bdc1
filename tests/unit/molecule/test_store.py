"""What is written down about fleets, and processes told apart by more than their pid."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts.command import HostsError, run
from tests.hosts.plan import FleetPlan, FleetRequest, HostRequest, plan_fleet
from tests.hosts.processes import Process, with_argument
from tests.hosts.store import Store


@pytest.fixture
def plan() -> FleetPlan:
    wanted = FleetRequest(name="demo", hosts=(HostRequest("one", ("bots",)),))
    return plan_fleet(
        wanted,
        used_prefixes=[],
        used_networks=[],
        cgroups=(Path("/sys/fs/cgroup/memory/x"),),
        layers=(Path("/top"), Path("/base")),
    )


def test_a_plan_is_read_back_as_written(plan: FleetPlan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(plan)
    assert Store(tmp_path).load("demo") == plan
    assert store.plans() == [plan]
    store.forget("demo")
    assert store.plans() == []
    assert not store.fleet("demo").exists()


def test_an_unknown_fleet_is_answered_with_the_known_ones(plan: FleetPlan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(HostsError, match="fleets here: none"):
        store.load("other")
    store.save(plan)
    with pytest.raises(HostsError, match="fleets here: demo"):
        store.load("other")


@pytest.mark.parametrize("name", ["", ".", "..", "../other", "a/b", "A"])
def test_no_folder_outside_the_fleets_can_be_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(HostsError, match="no name for a fleet"):
        Store(tmp_path).forget(name)


def test_a_plan_of_another_version_is_named(plan: FleetPlan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(plan)
    (store.fleet("demo") / "plan.json").write_text('{"name": "demo"}')
    with pytest.raises(HostsError, match=r"demo/plan\.json cannot be read"):
        store.plans()


def test_the_store_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Store().root == tmp_path / "orbitbot" / "test-hosts"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store().root == tmp_path / ".cache" / "orbitbot" / "test-hosts"


def test_a_lock_is_freed_when_its_holder_is_killed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    hold = "import sys; from pathlib import Path; from tests.hosts.store import Store\n"
    hold += "with Store(Path(sys.argv[1])).lock('x'): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with store.try_lock("x") as free:
            assert not free
        holder.kill()
    with store.try_lock("x") as free:
        assert free


def test_a_process_is_not_its_pids_next_owner() -> None:
    me = Process.of(os.getpid())
    assert me.alive
    assert not Process(me.pid, me.started - 1).alive


def test_processes_are_found_by_a_whole_argument(tmp_path: Path) -> None:
    mark = f"--mark={tmp_path}"
    with subprocess.Popen([sys.executable, "-c", "input()", mark], stdin=subprocess.PIPE) as child:
        assert [process.pid for process in with_argument(mark)] == [child.pid]
        assert with_argument(mark[:-1]) == []
        assert Process.of(child.pid) in Process.of(os.getpid()).children()
        child.kill()
    assert with_argument(mark) == []


def test_a_failed_command_repeats_its_words() -> None:
    with pytest.raises(HostsError, match=r"exit status 3\nno such luck"):
        run(["sh", "-c", "echo no such luck >&2; exit 3"])
    with pytest.raises(HostsError, match="not done within"):
        run(["sleep", "30"], timeout=0.1)
    with pytest.raises(HostsError, match="doctor"):
        run(["no-such-program-here"])
