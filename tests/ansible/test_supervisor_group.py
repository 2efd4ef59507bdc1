"""`playbooks/library/supervisor_group.py` against a real supervisord of Debian's package."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPOSITORY
from tests.support.net import wait_for
from tests.support.supervisor import Supervisor

pytestmark = pytest.mark.integration

MODULE = REPOSITORY / "playbooks/library/supervisor_group.py"
SLEEP = "/bin/sleep 1000"


def call(supervisor: Supervisor, *, check: bool = False, **parameters: Any) -> dict[str, Any]:
    """Run the module as Ansible does: a process of its own with its arguments on standard input."""
    arguments = {"socket": str(supervisor.socket), "wait_seconds": 15, "_ansible_check_mode": check}
    done = subprocess.run(
        [sys.executable, MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments | parameters}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def pid_of(result: dict[str, Any]) -> int:
    """The pid of the only process in a result."""
    (process,) = result["processes"]
    assert process["state"] == "RUNNING"
    return int(process["pid"])


def test_a_new_group_is_added_and_nothing_changes_again(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP)
    first = call(supervisor, name="bot-acme")
    again = call(supervisor, name="bot-acme")
    assert (first["changed"], first["actions"]) == (True, ["added"])
    assert (again["changed"], again["actions"]) == (False, [])
    assert pid_of(first) == pid_of(again)


def test_no_other_group_is_touched(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP)
    acme = pid_of(call(supervisor, name="bot-acme"))
    supervisor.program("bot-acme", SLEEP + "0")  # changed as well, but nobody asks for it
    supervisor.program("bot-padaria", SLEEP)
    supervisor.program("bot-clinica", SLEEP)
    call(supervisor, name="bot-padaria")
    groups = {each["group"]: each["pid"] for each in call(supervisor, state="listed")["processes"]}
    assert groups.keys() == {"bot-acme", "bot-padaria"}
    assert groups["bot-acme"] == acme


def test_a_changed_file_replaces_the_group(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP)
    before = pid_of(call(supervisor, name="bot-acme"))
    supervisor.program("bot-acme", "/bin/sleep 2000")
    after = call(supervisor, name="bot-acme")
    assert after["actions"] == ["replaced"]
    command = Path(f"/proc/{pid_of(after)}/cmdline").read_bytes()
    assert command == b"/bin/sleep\x002000\x00"
    assert not Path(f"/proc/{before}").exists()


def test_a_process_older_than_its_settings_is_restarted_once(supervisor: Supervisor, tmp_path: Path) -> None:
    settings = tmp_path / "acme.toml"
    settings.write_text("")
    supervisor.program("bot-acme", SLEEP)
    before = pid_of(call(supervisor, name="bot-acme", restart_if_older_than=[str(settings)]))
    unchanged = call(supervisor, name="bot-acme", restart_if_older_than=[str(settings)])
    assert (unchanged["changed"], pid_of(unchanged)) == (False, before)

    settings.write_text("changed")
    restarted = call(supervisor, name="bot-acme", restart_if_older_than=[str(settings)])
    again = call(supervisor, name="bot-acme", restart_if_older_than=[str(settings)])
    assert restarted["actions"] == ["restarted"]
    assert pid_of(restarted) != before
    assert (again["changed"], pid_of(again)) == (False, pid_of(restarted))


def test_the_age_of_a_link_is_its_own_and_not_its_targets(supervisor: Supervisor, tmp_path: Path) -> None:
    old, link = tmp_path / "1.0", tmp_path / "current"
    old.mkdir()
    link.symlink_to(old)
    supervisor.program("bot-acme", SLEEP)
    call(supervisor, name="bot-acme", restart_if_older_than=[str(link)])
    future = time.time() + 100
    os.utime(old, (future, future))
    assert not call(supervisor, name="bot-acme", restart_if_older_than=[str(link)])["changed"]


def test_a_stopped_process_is_started(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP, more="autorestart=false")
    before = pid_of(call(supervisor, name="bot-acme"))
    os.kill(before, 9)
    wait_for(
        lambda: call(supervisor, state="listed")["processes"][0]["state"] == "EXITED", "the exit to be seen"
    )
    assert call(supervisor, name="bot-acme", check=True)["changed"]
    assert call(supervisor, name="bot-acme")["actions"] == ["started"]


def test_a_group_lost_between_removal_and_addition_comes_back(supervisor: Supervisor) -> None:
    """What a run leaves behind that was interrupted in the middle of a replacement."""
    path = supervisor.program("bot-acme", SLEEP)
    call(supervisor, name="bot-acme")
    text = path.read_text()
    path.unlink()
    call(supervisor, name="bot-acme", state="absent")
    path.write_text(text)
    assert call(supervisor, name="bot-acme")["actions"] == ["added"]


def test_restarted_restarts(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP)
    before = pid_of(call(supervisor, name="bot-acme"))
    assert pid_of(call(supervisor, name="bot-acme", state="restarted")) != before


def test_absent_stops_and_forgets(supervisor: Supervisor) -> None:
    path = supervisor.program("bot-acme", SLEEP)
    pid = pid_of(call(supervisor, name="bot-acme"))
    refused = call(supervisor, name="bot-acme", state="absent")
    assert "still has a section [program:bot-acme]" in refused["msg"]
    path.unlink()
    assert call(supervisor, name="bot-acme", state="absent")["changed"] is False  # stopped the time before
    assert not Path(f"/proc/{pid}").exists()
    assert call(supervisor, state="listed")["processes"] == []


def test_check_mode_only_asks(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP)
    assert call(supervisor, name="bot-acme", check=True)["changed"]
    assert call(supervisor, state="listed")["processes"] == []
    pid = pid_of(call(supervisor, name="bot-acme"))
    assert not call(supervisor, name="bot-acme", check=True)["changed"]
    assert call(supervisor, name="bot-acme", state="absent", check=True)["changed"]
    assert call(supervisor, name="bot-acme", state="restarted", check=True)["changed"]
    assert pid_of(call(supervisor, state="listed")) == pid


def test_a_program_that_dies_is_an_error_with_its_last_words(supervisor: Supervisor) -> None:
    supervisor.program(
        "bot-acme", "/bin/sh -c 'echo gateway_url is missing; exit 1'", more="startsecs=1\nstartretries=0"
    )
    result = call(supervisor, name="bot-acme")
    assert result["failed"]
    assert "FATAL" in result["msg"]
    assert "gateway_url is missing" in result["msg"]


def test_a_program_that_is_not_there_is_an_error(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", "/nowhere/orbitbot bot", more="startretries=0")
    assert "can't find command '/nowhere/orbitbot'" in call(supervisor, name="bot-acme")["msg"]
    assert "no file that supervisord reads" in call(supervisor, name="bot-padaria")["msg"]


def test_a_file_of_somebody_else_that_does_not_parse_is_named(supervisor: Supervisor) -> None:
    (supervisor.programs / "other.conf").write_text("[program:other]\nautostart=perhaps\n")
    supervisor.program("bot-acme", SLEEP)
    message = call(supervisor, name="bot-acme")["msg"]
    assert "cannot read its configuration" in message
    assert "other" in message


def test_no_supervisord_is_an_error_that_says_so(tmp_path: Path) -> None:
    nobody = Supervisor(tmp_path)
    result = call(nobody, name="bot-acme", wait_seconds=1)
    assert "Is supervisor running here?" in result["msg"]
