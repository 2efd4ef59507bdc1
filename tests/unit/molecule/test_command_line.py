"""The command line and the doctor, without any host."""

import io
import os
import sys
from pathlib import Path

import pytest

from tests.hosts import __main__ as command_line
from tests.hosts import doctor
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.store import Store


class _Launched(Exception):
    def __init__(self, request: FleetRequest) -> None:
        super().__init__(request)
        self.request = request


@pytest.fixture
def _only_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def launched(request: FleetRequest, store: Store) -> None:
        raise _Launched(request)

    monkeypatch.setattr(command_line, "launch", launched)


@pytest.mark.usefixtures("_only_the_request")
def test_up_reads_hosts_groups_and_packages() -> None:
    with pytest.raises(_Launched) as launched:
        command_line.main(["up", "demo", "one", "two=bots,ai", "--packages", "nginx redis-server,zstd"])
    assert launched.value.request == FleetRequest(
        name="demo",
        hosts=(HostRequest("one"), HostRequest("two", ("bots", "ai"))),
        packages=("nginx", "redis-server", "zstd"),
    )


@pytest.mark.usefixtures("_only_the_request")
def test_up_reads_molecules_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    platforms = '[{"name": "one", "groups": ["bots"], "unknown": 1}, {"name": "two"}]'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(platforms.encode())))
    with pytest.raises(_Launched) as launched:
        command_line.main(["up", "demo", "--platforms"])
    assert launched.value.request.hosts == (HostRequest("one", ("bots",)), HostRequest("two"))


def test_an_error_is_one_line_and_a_status(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line.main(["--store", str(tmp_path), "kill", "demo", "one"]) == 1
    assert capsys.readouterr().err == "test hosts: there is no fleet 'demo'; fleets here: none\n"


def test_down_removes_nothing_that_was_not_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line.main(["--store", str(tmp_path), "down"]) == 1
    assert "or give --all" in capsys.readouterr().err


def test_the_doctor_names_every_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(doctor.PROGRAMS, "/no/such/program", "no-such-package")
    assert {"systemd-container", "mmdebstrap", "nftables", "zstd", "no-such-package"} <= set(
        doctor.missing_packages()
    )
    remedies = [finding.remedy for finding in doctor.examine(Store(tmp_path / "store"))]
    assert "apt-get install mmdebstrap" in remedies


def test_the_doctor_says_who_must_run_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    first = next(doctor.examine(Store(tmp_path)))
    assert (first.what, first.remedy.partition(":")[0]) == ("runs as root", "run it as root")


def test_the_path_line_puts_the_environments_commands_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    exec(doctor._PATH_LINE)
    exec(doctor._PATH_LINE)
    assert os.environ["PATH"] == f"{sys.prefix}/bin:/usr/bin:/bin"
