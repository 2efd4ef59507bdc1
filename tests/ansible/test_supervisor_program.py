"""`plugins/modules/supervisor_program.py` against a real supervisord of Debian's package."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPOSITORY, module_command
from tests.support.net import wait_for
from tests.support.supervisor import Supervisor

pytestmark = pytest.mark.integration

MODULE = module_command("plugins/modules/supervisor_program.py")
SLEEP = "/bin/sleep 1000"


def call(supervisor: Supervisor, name: str, *, check: bool = False, **parameters: Any) -> dict[str, Any]:
    """Run the module as Ansible does: a process of its own with its arguments on standard input."""
    arguments = {"name": name, "socket": str(supervisor.socket), "timeout": 15, "_ansible_check_mode": check}
    done = subprocess.run(
        MODULE,
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments | parameters}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_new_program_is_added_and_nothing_changes_again(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP)
    first = call(supervisor, "bot-acme")
    again = call(supervisor, "bot-acme")
    assert (first["changed"], again["changed"], again["actions"]) == (True, False, [])
    assert first["pid"] == again["pid"]
    assert Path(f"/proc/{first['pid']}/cmdline").read_bytes() == b"/bin/sleep\x001000\x00"


def test_no_other_program_is_touched(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP)
    acme = call(supervisor, "bot-acme")["pid"]
    supervisor.program("bot-acme", SLEEP + "0")  # changed as well, but nobody asks for it
    supervisor.program("bot-padaria", SLEEP)
    supervisor.program("bot-clinica", SLEEP)
    call(supervisor, "bot-padaria")
    running = supervisor.running()
    assert running.keys() == {"bot-acme", "bot-padaria"}
    assert running["bot-acme"] == acme


def test_a_changed_file_replaces_the_process(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP)
    before = call(supervisor, "bot-acme")["pid"]
    supervisor.program("bot-acme", SLEEP, more='environment=SETTINGS="2"')
    after = call(supervisor, "bot-acme")
    assert after["changed"]
    assert after["pid"] != before
    assert b"SETTINGS=2" in Path(f"/proc/{after['pid']}/environ").read_bytes()
    assert not Path(f"/proc/{before}").exists()


def test_a_stopped_process_is_started(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", SLEEP, more="autorestart=false")
    os.kill(call(supervisor, "bot-acme")["pid"], 9)
    wait_for(lambda: not supervisor.running(), "the exit to be seen")
    assert call(supervisor, "bot-acme", check=True)["changed"]
    assert not supervisor.running()
    assert call(supervisor, "bot-acme")["changed"]
    assert supervisor.running().keys() == {"bot-acme"}


def test_a_program_lost_between_removal_and_addition_comes_back(supervisor: Supervisor) -> None:
    """What a run leaves behind that was interrupted in the middle of a replacement."""
    path = supervisor.program("bot-acme", SLEEP)
    call(supervisor, "bot-acme")
    text = path.read_text()
    path.unlink()
    call(supervisor, "bot-acme", state="absent")
    path.write_text(text)
    assert call(supervisor, "bot-acme")["changed"]
    assert supervisor.running().keys() == {"bot-acme"}


def test_absent_stops_and_forgets(supervisor: Supervisor) -> None:
    path = supervisor.program("bot-acme", SLEEP)
    pid = call(supervisor, "bot-acme")["pid"]
    refused = call(supervisor, "bot-acme", state="absent")
    assert "still defines [program:bot-acme]" in refused["msg"]
    assert supervisor.running() == {"bot-acme": pid}
    path.unlink()
    assert call(supervisor, "bot-acme", state="absent")["changed"]
    assert not call(supervisor, "bot-acme", state="absent")["changed"]
    assert not Path(f"/proc/{pid}").exists()


def test_check_mode_only_asks(supervisor: Supervisor) -> None:
    path = supervisor.program("bot-acme", SLEEP)
    assert call(supervisor, "bot-acme", check=True)["changed"]
    assert not supervisor.running()
    pid = call(supervisor, "bot-acme")["pid"]
    assert not call(supervisor, "bot-acme", check=True)["changed"]
    path.unlink()
    assert call(supervisor, "bot-acme", state="absent", check=True)["changed"]
    assert supervisor.running() == {"bot-acme": pid}


def test_a_program_that_dies_is_an_error_with_its_last_words(supervisor: Supervisor) -> None:
    supervisor.program(
        "bot-acme", "/bin/sh -c 'echo gateway_url is missing; exit 1'", more="startsecs=1\nstartretries=0"
    )
    result = call(supervisor, "bot-acme")
    assert result["failed"]
    assert "FATAL" in result["msg"]
    assert "gateway_url is missing" in result["msg"]


def test_a_program_that_cannot_run_is_an_error(supervisor: Supervisor) -> None:
    supervisor.program("bot-acme", "/nowhere/orbitbot bot", more="startretries=0")
    assert "can't find command '/nowhere/orbitbot'" in call(supervisor, "bot-acme")["msg"]
    assert "defines [program:bot-padaria]" in call(supervisor, "bot-padaria")["msg"]


def test_a_file_of_somebody_else_that_does_not_parse_is_named(supervisor: Supervisor) -> None:
    (supervisor.programs / "other.conf").write_text("[program:other]\nautostart=perhaps\n")
    supervisor.program("bot-acme", SLEEP)
    message = call(supervisor, "bot-acme")["msg"]
    assert "cannot read its configuration" in message
    assert "other" in message


def test_no_supervisord_is_an_error_that_says_so(tmp_path: Path) -> None:
    result = call(Supervisor(tmp_path), "bot-acme", timeout=1)
    assert f"supervisor does not answer on {tmp_path}/supervisor.sock" in result["msg"]


def test_files_that_supervisor_cannot_read_are_set_aside_and_the_others_stay(tmp_path: Path) -> None:
    good = "[program:bot-acme]\ncommand=/bin/sleep 9\n"
    bad = {
        "no-section.conf": "command=/bin/true\n",
        "no-command.conf": "[program:x]\nautostart=true\n",
        "no-user.conf": "[program:x]\ncommand=/bin/true\nuser=bot-nobody-has-this\n",
        "binary.conf": "\0\1\2",
    }
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "acme.conf").write_text(good)
    script = REPOSITORY / "roles/supervisor/files/set-aside-broken-programs"
    done = subprocess.run(
        ["/usr/bin/python3", script, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )
    assert {path.name for path in tmp_path.iterdir()} == {"acme.conf", *(f"{name}.broken" for name in bad)}
    for name in bad:
        assert f"{tmp_path / name} is set aside: " in done.stderr
