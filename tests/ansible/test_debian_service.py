"""`plugins/modules/debian_service.py`: a service runs with the configuration that is there.

The service is a real process with a pid file; a script in the place of Debian's `service` starts, stops and
reloads it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPOSITORY
from tests.support.net import wait_for

pytestmark = pytest.mark.integration

MODULE = REPOSITORY / "plugins/modules/debian_service.py"
SCRIPT = """\
#!/bin/sh
# service NAME VERB
echo "$2" >> {calls}
case "$2" in
  start) [ ! -e {broken} ] || exit 0
         setsid sleep 1000 >/dev/null 2>&1 & echo $! > {pid} ;;
  stop) (sleep 0.3; kill "$(cat {pid})") >/dev/null 2>&1 & ;;  # returns before the process is gone
esac
"""


class Daemon:
    """A service of this test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.pid_file = directory / "daemon.pid"
        self.config = directory / "conf.d"
        self.broken = directory / "broken"
        self._calls = directory / "calls"
        self.config.mkdir()
        (self.config / "a.conf").write_text("a\n")
        script = directory / "bin/service"
        script.parent.mkdir()
        script.write_text(SCRIPT.format(calls=self._calls, pid=self.pid_file, broken=self.broken))
        script.chmod(0o755)

    def call(self, *, check_mode: bool = False, **more: Any) -> dict[str, Any]:
        """Run the module; its result."""
        arguments = {
            "name": "daemon",
            "pid_file": str(self.pid_file),
            "config": [str(self.config)],
            "state_directory": str(self._directory / "state"),
            "timeout": 5,
            "_ansible_check_mode": check_mode,
        }
        done = subprocess.run(
            [sys.executable, MODULE],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments | more}),
            env=os.environ | {"PATH": f"{self._directory / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    @property
    def pid(self) -> int:
        """The process that the pid file names."""
        return int(self.pid_file.read_text())

    def calls(self) -> list[str]:
        """What `service` was asked, since the last look."""
        found = self._calls.read_text().split() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return found

    def kill(self) -> None:
        """End the process."""
        if self.pid_file.exists():
            pid = self.pid
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            wait_for(lambda: not is_alive(pid), "the process to be gone")


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    yield one
    one.kill()


def test_it_is_started_once(daemon: Daemon) -> None:
    assert daemon.call()["actions"] == ["start"]
    assert is_alive(daemon.pid)
    daemon.calls()
    assert not daemon.call()["changed"]
    assert daemon.calls() == []


def test_a_dead_one_is_started_again(daemon: Daemon) -> None:
    daemon.call()
    daemon.kill()
    assert daemon.call()["actions"] == ["start"]


def test_a_change_restarts_it_and_waits_for_the_old_process(daemon: Daemon) -> None:
    daemon.call()
    before = daemon.pid
    (daemon.config / "b.conf").write_text("b\n")
    assert daemon.call()["actions"] == ["restart"]
    assert not is_alive(before)
    assert is_alive(daemon.pid)
    assert not daemon.call()["changed"]


def test_a_change_is_reloaded_where_that_is_enough(daemon: Daemon) -> None:
    daemon.call()
    before = daemon.pid
    (daemon.config / "a.conf").write_text("b\n")
    assert daemon.call(reload=True)["actions"] == ["reload"]
    assert daemon.pid == before
    assert not daemon.call(reload=True)["changed"]


def test_a_file_that_is_gone_is_a_change(daemon: Daemon) -> None:
    (daemon.config / "b.conf").write_text("b\n")
    daemon.call()
    (daemon.config / "b.conf").unlink()
    assert daemon.call()["actions"] == ["restart"]


def test_a_change_that_an_interrupted_run_left_is_applied_by_the_next(daemon: Daemon) -> None:
    """Nothing but the state of host and files decides: no handler is there to be lost."""
    daemon.call()
    (daemon.config / "a.conf").write_text("b\n")  # and here the run ended
    assert daemon.call()["actions"] == ["restart"]


def start_elsewhere(daemon: Daemon) -> None:
    """Start the process as somebody else would, after a reboot say."""
    script = 'setsid sleep 1000 >/dev/null 2>&1 & echo $! > "$0"'
    subprocess.run(["sh", "-c", script, daemon.pid_file], check=True)


def test_a_process_younger_than_the_files_is_left_alone(daemon: Daemon) -> None:
    daemon.call()
    daemon.kill()
    wait_for(lambda: time.time() - (daemon.config / "a.conf").stat().st_ctime > 4, "the files to be old", 10)
    start_elsewhere(daemon)
    assert not daemon.call()["changed"]


def test_a_process_older_than_a_file_that_is_gone_is_restarted(daemon: Daemon) -> None:
    (daemon.config / "b.conf").write_text("b\n")
    wait_for(lambda: time.time() - daemon.config.stat().st_ctime > 4, "the files to be old", 10)
    start_elsewhere(daemon)
    assert not daemon.call()["changed"]
    (daemon.config / "b.conf").unlink()
    assert daemon.call()["actions"] == ["restart"]


def test_a_process_older_than_the_files_is_restarted(daemon: Daemon) -> None:
    start_elsewhere(daemon)
    (daemon.config / "a.conf").write_text("b\n")
    assert daemon.call()["actions"] == ["restart"]


def test_a_configuration_that_does_not_pass_its_check_is_not_applied(daemon: Daemon) -> None:
    daemon.call()
    before = daemon.pid
    (daemon.config / "a.conf").write_text("b\n")
    result = daemon.call(check=["sh", "-c", "echo line 3 is wrong >&2; exit 1"])
    assert result["failed"]
    assert "line 3 is wrong" in result["msg"]
    assert (daemon.pid, is_alive(before)) == (before, True)


def test_one_that_does_not_come_up_is_an_error(daemon: Daemon) -> None:
    daemon.broken.touch()
    assert "daemon did not start within 1 s" in daemon.call(timeout=1)["msg"]


def test_a_command_that_does_not_end_is_an_error(daemon: Daemon) -> None:
    daemon.call()
    (daemon.config / "a.conf").write_text("b\n")
    assert "`sleep 1000` did not end within 1 s" in daemon.call(timeout=1, check=["sleep", "1000"])["msg"]


def test_it_is_stopped_once(daemon: Daemon) -> None:
    daemon.call()
    pid = daemon.pid
    assert daemon.call(state="stopped")["actions"] == ["stop"]
    assert not is_alive(pid)
    assert not daemon.call(state="stopped")["changed"]


def test_check_mode_only_looks(daemon: Daemon) -> None:
    assert daemon.call(check_mode=True)["actions"] == ["start"]
    daemon.call()
    (daemon.config / "a.conf").write_text("b\n")
    daemon.calls()
    assert daemon.call(check_mode=True)["actions"] == ["restart"]
    assert daemon.call(check_mode=True, state="stopped")["actions"] == ["stop"]
    assert daemon.calls() == []
