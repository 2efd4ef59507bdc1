"""The fleet's lock and the records of runs: `fleet_runs.py`, `keep_lock.py`, `fleet_lock`, `run_record`."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPOSITORY, load_plugin
from tests.ansible.running import BINARIES, action, environment, playbook

runs = load_plugin("plugins/module_utils/fleet_runs.py")
lock = load_plugin("plugins/action/fleet_lock.py")

records = load_plugin("plugins/callback/run_record.py")
following = load_plugin("plugins/callback/next_step.py")

DEADLINE = 120.0  # seconds


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Controller:
    """What talks to `serve`: in a thread, with lines instead of an SSH connection."""

    def __init__(self, folder: Path, operator: str, mode: str, client: str = "", wait: float = 0) -> None:
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._lines: queue.Queue[str] = queue.Queue()
        run = {
            "id": runs.new_id(),
            "operator": operator,
            "controller": "laptop",
            "playbook": "site",
            "lock": mode,
        }
        self.id = run["id"]
        request = {"run": run | ({"client": client} if client else {}), "wait": wait}
        self.send(request | {"records": str(folder / "runs"), "locks": str(folder)})
        self._thread = threading.Thread(target=runs.serve, args=(iter(self._lines.get, ""), self.said.put))
        self._thread.start()

    def send(self, word: dict[str, Any]) -> None:
        """Say something."""
        self._lines.put(json.dumps(word))

    def hear(self) -> dict[str, Any]:
        """The next answer."""
        return self.said.get(timeout=DEADLINE)

    def leave(self, **ended: Any) -> None:
        """End, with the run's end or, without it, as a lost connection does."""
        if ended:
            self.send({"ended": ended})
        self._lines.put("")
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


def state(folder: Path, run_id: str) -> dict[str, Any]:
    """A run's record on the host that holds the lock."""
    found: dict[str, Any] = runs.read_record(folder / "runs" / f"{run_id}.jsonl")
    return found


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is said and refused at once."""
    monkeypatch.setattr(runs, "PATIENCE", 0.1)
    monkeypatch.setattr(runs, "RETRY", 0.02)


def test_who_comes_second_is_refused_and_told_who_is_there_since_when(tmp_path: Path) -> None:
    first = Controller(tmp_path, "ana", "exclusive")
    assert first.hear() == {"held": True}
    second = Controller(tmp_path, "rui", "exclusive")
    (holder,) = second.hear()["refused"]
    assert (holder["operator"], holder["controller"], holder["state"]) == ("ana", "laptop", "running")
    text = lock.named([holder])
    assert text == f"ana on laptop, who runs site since {holder['locked_at']}"
    second.leave()
    assert state(tmp_path, second.id)["state"] == "refused"
    first.leave(result="ok")
    assert state(tmp_path, first.id)["state"] == "ok"


def test_who_waits_is_told_for_whom_and_gets_it_when_the_other_is_gone(tmp_path: Path) -> None:
    first = Controller(tmp_path, "ana", "exclusive")
    assert first.hear() == {"held": True}
    second = Controller(tmp_path, "rui", "shared", client="padaria", wait=DEADLINE)
    assert [each["operator"] for each in second.hear()["waiting"]] == ["ana"]
    first.leave()  # without an end: its controller died
    assert second.hear() == {"held": True}
    assert state(tmp_path, first.id)["state"] == "interrupted"
    second.leave(result="failed")
    assert state(tmp_path, second.id)["state"] == "failed"


def test_changes_of_different_clients_go_side_by_side_and_of_one_client_do_not(tmp_path: Path) -> None:
    first = Controller(tmp_path, "ana", "shared", client="acme")
    second = Controller(tmp_path, "rui", "shared", client="padaria")
    assert first.hear() == second.hear() == {"held": True}
    third = Controller(tmp_path, "eva", "shared", client="acme")
    assert [each["operator"] for each in third.hear()["refused"]] == ["ana"]
    fourth = Controller(tmp_path, "leo", "exclusive")
    assert {each["operator"] for each in fourth.hear()["refused"]} == {"ana", "rui"}
    for each in (first, second, third, fourth):
        each.leave()


def test_an_exclusive_run_that_waits_is_not_overtaken_by_shared_ones(tmp_path: Path) -> None:
    first = Controller(tmp_path, "ana", "shared", client="acme")
    assert first.hear() == {"held": True}
    waiting = Controller(tmp_path, "leo", "exclusive", wait=DEADLINE)
    assert "waiting" in waiting.hear()
    late = Controller(tmp_path, "rui", "shared", client="padaria")
    assert "refused" in late.hear()
    late.leave()
    first.leave()
    assert waiting.hear() == {"held": True}
    waiting.leave()


def test_a_controller_that_falls_silent_loses_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SILENCE", 0.2)
    silent = Controller(tmp_path, "ana", "exclusive")
    assert silent.hear() == {"held": True}
    wait_until(lambda: state(tmp_path, silent.id)["state"] == "interrupted", "the lock is kept for the dead")
    second = Controller(tmp_path, "rui", "exclusive")
    assert second.hear() == {"held": True}
    for each in (silent, second):
        each.leave()


def test_a_record_whose_writer_was_killed_is_an_interrupted_run(tmp_path: Path) -> None:
    record = runs.Record(tmp_path, runs.new_id())
    record.add("started", operator="ana")
    assert runs.read_record(record.path)["state"] == "running"
    record.close()
    with record.path.open("a") as file:
        file.write('{"event": "ended", "resu')  # a line that power loss tore
    assert runs.read_record(record.path) | {"at": ""} == {
        "event": "started",
        "operator": "ana",
        "at": "",
        "state": "interrupted",
        "started_at": runs.read_record(record.path)["at"],
        "locked_at": "",
        "ended_at": "",
    }


def test_the_newest_records_come_first_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "KEPT", 3)
    for second in range(5):
        record = runs.Record(tmp_path, f"20260131T00000{second}Z-abcdef")
        record.add("started", number=second)
        record.close()
    assert [run["number"] for run in runs.read_runs(tmp_path, 10)] == [4, 3, 2]
    assert [run["number"] for run in runs.read_runs(tmp_path, 1)] == [4]
    assert runs.read_runs(tmp_path / "none", 1) == []


@pytest.mark.parametrize("name", ["../x", "20260131T000000Z-ABCDEF", ""])
def test_a_record_has_no_name_of_the_callers_choice(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no run's id"):
        runs.Record(tmp_path, name)


@pytest.mark.parametrize("wait", ["soon", "-1", 86401])
def test_a_time_to_wait_that_is_none_is_refused(tmp_path: Path, wait: object) -> None:
    result = action("fleet_lock", host="localhost", mode="exclusive", wait=wait, locks=str(tmp_path))
    assert result["msg"].endswith(f"lock_wait: '{wait}' is not allowed; allowed: seconds, 0 to 86400")
    assert list(tmp_path.iterdir()) == []


PLAYBOOK = """
- name: Change something
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Take the lock
      fleet_lock:
        host: localhost
        mode: exclusive
        wait: "{{ lock_wait | default(0) }}"
        records: "{{ folder }}/runs"
        locks: "{{ folder }}"

    - name: Change it until somebody makes a file
      ansible.builtin.wait_for:
        path: "{{ folder }}/go-on"
        timeout: 240
"""


class Holder:
    """A playbook that has the lock until it is told to go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "playbook.yml").write_text(PLAYBOOK)

    def command(self, *arguments: str) -> list[str]:
        """The command of the playbook."""
        return [
            str(BINARIES / "ansible-playbook"),
            "-i",
            "localhost,",
            "-c",
            "local",
            str(self.folder / "playbook.yml"),
            "-e",
            f"folder={self.folder}",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            *arguments,
        ]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run it."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def states(self) -> list[str]:
        """The runs' states, the newest first."""
        return [run["state"] for run in runs.read_runs(self.folder / "runs", 10)]

    def holds(self) -> bool:
        """Whether some run has the lock."""
        return any(
            run["state"] == "running" and run["locked_at"] for run in runs.read_runs(self.folder / "runs", 10)
        )


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    """It leaves nothing running."""
    made = Holder(tmp_path)
    yield made
    (tmp_path / "go-on").touch()
    wait_until(lambda: not made.holds(), "a run has not ended")


def test_two_runs_at_once_one_is_refused_with_the_others_name(holder: Holder) -> None:
    first = holder.start()
    wait_until(holder.holds, "the first run did not get the lock")
    second = holder.start()
    output, _ = second.communicate(timeout=DEADLINE)
    assert second.returncode != 0
    assert "the fleet is being changed by " in output
    assert ", who runs Change something since 20" in output
    (holder.folder / "go-on").touch()
    output, _ = first.communicate(timeout=DEADLINE)
    assert first.returncode == 0, output
    wait_until(lambda: holder.states() == ["refused", "unknown"], "the runs' ends are not recorded")


def test_a_killed_run_leaves_no_lock_and_its_record_says_so(holder: Holder) -> None:
    first = holder.start()
    wait_until(holder.holds, "the first run did not get the lock")
    second = holder.start("-e", f"lock_wait={DEADLINE}")
    wait_until(lambda: len(holder.states()) == 2, "the second run did not ask for the lock")
    first.kill()
    first.wait(timeout=DEADLINE)
    wait_until(holder.holds, "the second run did not get the lock")
    (holder.folder / "go-on").touch()
    output, _ = second.communicate(timeout=DEADLINE)
    assert second.returncode == 0, output
    first.communicate(timeout=DEADLINE)  # its task's process was waiting, too, and kept the output open


def test_a_run_that_is_interrupted_while_it_waits_stands_in_nobodys_way(holder: Holder) -> None:
    first = holder.start()
    wait_until(holder.holds, "the first run did not get the lock")
    second = holder.start("-e", f"lock_wait={DEADLINE}")
    wait_until(lambda: len(holder.states()) == 2, "the second run did not ask for the lock")
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=DEADLINE)
    wait_until(lambda: holder.states() == ["interrupted", "running"], "the second run is still there")
    (holder.folder / "go-on").touch()
    first.communicate(timeout=DEADLINE)


def test_check_mode_takes_no_lock(holder: Holder) -> None:
    done = holder.start("--check")
    output, _ = done.communicate(timeout=DEADLINE)
    assert done.returncode == 0, output
    assert holder.states() == []


def test_a_host_that_cannot_be_reached_is_named_with_what_to_do(tmp_path: Path) -> None:
    words = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_user": "root"}
    command = lock.python_on("db-1", words)
    assert command[0] == "ssh"
    job = {"command": command, "program": "", "run": {}, "records": "", "locks": "", "wait": 0}
    done = subprocess.run(
        [sys.executable, REPOSITORY / "plugins/controller/keep_lock.py"],
        input=json.dumps(job | {"pid": os.getpid(), "record": ""}) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE,
    )
    assert "Connection refused" in json.loads(done.stdout)["error"]


def test_a_run_that_fails_leaves_a_record_of_who_what_which_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("ORBITBOT_OPERATOR", "ana")
    done = playbook("remove-client", "-e", "client=NOT-ONE", "--limit", "all:localhost")
    assert done.status != 0
    (run,) = runs.read_runs(tmp_path / "orbitbot/runs", 5)
    assert run["state"] == "failed"
    assert (run["operator"], run["playbook"], run["limit"]) == ("ana", "remove-client", "all:localhost")
    assert run["values"] == {"client": "NOT-ONE"}
    assert run["version"].startswith("0.1.0+")
    assert run["inventories"] == [str(REPOSITORY / "inventory/local")]
    assert "this-machine" in run["chosen"]
    assert run["hosts"] == {"localhost": {"ok": 0, "changed": 0, "failed": 1, "unreachable": 0}}
    assert run["failure"] == "localhost: Refuse values that are not allowed: failed"


def test_a_playbook_that_changes_nothing_leaves_no_record() -> None:
    told = {path.stem: records.changes_something(path) for path in (REPOSITORY / "playbooks").glob("*.yml")}
    assert {name for name, changes in told.items() if not changes} == {"status", "summary", "verify"}


def test_the_user_who_became_root_is_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORBITBOT_OPERATOR", raising=False)
    monkeypatch.setenv("SUDO_USER", "rui")
    assert records.operator() == "rui"


def test_the_hosts_that_are_left_are_named_with_the_command_that_goes_on() -> None:
    arguments = ["-i", "inventory/fleet", "--limit", "bots", "-lall", "playbooks/site.yml", "-e", "a='b c'"]
    text = following.next_step({"bot-2": "could not be reached", "gpu-1": "failed"}, ["bot-1"], arguments)
    assert text.splitlines() == [
        "Not finished: bot-2 (could not be reached), gpu-1 (failed).",
        "Finished: bot-1.",
        "When the cause is mended, this goes on with what is left:",
        "  ansible-playbook -i inventory/fleet playbooks/site.yml -e 'a='\"'\"'b c'\"'\"'' "
        "--limit bot-2,gpu-1,localhost",
    ]


def test_a_run_that_failed_on_the_controller_is_run_again_as_it_was() -> None:
    text = following.next_step({"localhost": "failed"}, [], ["playbooks/site.yml", "--limit", "bots"])
    assert text.splitlines()[-1] == "  ansible-playbook playbooks/site.yml --limit bots"


def test_a_run_for_one_client_is_run_again_as_it_was() -> None:
    """Its plays are for the hosts that it chose itself; a limit would leave out some of them."""
    arguments = ["playbooks/move-client.yml", "-e", "client=aa", "-e", "to=bot-2"]
    text = following.next_step({"bot-2": "could not be reached"}, [], arguments)
    assert text.splitlines()[1:] == [
        "When the cause is mended, run it again as it was:",
        "  ansible-playbook playbooks/move-client.yml -e client=aa -e to=bot-2",
    ]


def test_how_a_run_ended_is_read_off_its_record(tmp_path: Path) -> None:
    keeper = load_plugin("plugins/controller/keep_lock.py")
    record = runs.Record(tmp_path, runs.new_id())
    record.add("started", operator="ana")
    assert keeper.how_it_ended(str(record.path)) is None
    record.add("ended", result="failed", at="then")
    assert keeper.how_it_ended(str(record.path)) == {"result": "failed", "at": "then"}
    record.close()
    assert keeper.how_it_ended(str(tmp_path / "none")) is None
    assert keeper.how_it_ended("") == {"result": "unknown"}


@pytest.mark.parametrize("name", ["site", "down"])
def test_a_limit_that_leaves_out_the_controller_is_refused(name: str) -> None:
    """Else nothing would be checked or locked."""
    done = playbook(name, "--limit", "this-machine", "--check")
    assert done.status != 0
    assert "give --limit this-machine,localhost" in " ".join(done.output.split())
    assert "ok=0" in done.output


def holder_of(path: Path) -> int:
    """The process that holds an flock on a file."""
    inode = path.stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
            return int(words[4])
    raise AssertionError(f"nobody holds {path}")


def test_a_lock_that_was_lost_with_its_host_is_taken_again(holder: Holder) -> None:
    first = holder.start()
    wait_until(holder.holds, "the run did not get the lock")
    (record,) = (holder.folder / "runs").glob("*.jsonl")
    os.kill(holder_of(record), signal.SIGKILL)  # as a host that loses power
    wait_until(lambda: holder.states() == ["interrupted"], "the lock outlives its holder")
    wait_until(holder.holds, "the lock was not taken again")
    (holder.folder / "go-on").touch()
    output, _ = first.communicate(timeout=DEADLINE)
    assert first.returncode == 0, output
    wait_until(lambda: holder.states() == ["unknown"], "the run's end is not recorded")
