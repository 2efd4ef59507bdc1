"""`plugins/modules/debian_packages.py`: what was new on the host is recorded, and goes again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPOSITORY, load_plugin

packages = load_plugin("plugins/modules/debian_packages.py")
MODULE = REPOSITORY / "plugins/modules/debian_packages.py"
SMALL = "hello"  # a package that nothing needs


def call(record: Path, *, check: bool = False, **more: Any) -> dict[str, Any]:
    """Run the module; its result."""
    arguments = {"record": str(record), "_ansible_check_mode": check} | more
    done = subprocess.run(
        [sys.executable, MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_new_packages_are_told_from_upgrades() -> None:
    simulation = """\
NOTE: This is only a simulation!
Inst libssl3 [3.0.15-1] (3.0.16-1 Debian:12.11/stable [amd64])
Inst nginx-common (1.22.1-9 Debian:12.11/stable [all])
Inst libatomic1:amd64 (12.2.0-14 Debian:12.11/stable [amd64]) []
Conf nginx-common (1.22.1-9 Debian:12.11/stable [all])
"""
    assert packages.newly_installed(simulation) == ["nginx-common", "libatomic1"]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = tmp_path / "new" / "record"
    assert packages.read_record(record) == []
    packages.write_record(record, ["nginx", "nginx-common"])
    assert packages.read_record(record) == ["nginx", "nginx-common"]
    assert [path.name for path in record.parent.iterdir()] == ["record"]


def test_what_is_installed_changes_nothing_and_is_not_recorded(tmp_path: Path) -> None:
    result = call(tmp_path / "record", name=["bash", "coreutils"])
    assert (result["changed"], result["packages"]) == (False, [])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def absent() -> Iterator[None]:
    """The small package is not there, before and after."""
    if shutil.which(SMALL):
        pytest.fail(f"{SMALL} is installed here; this test needs a package that is not")
    yield
    subprocess.run(["apt-get", "purge", "-y", "-q", SMALL], check=True, capture_output=True)


@pytest.mark.machine
@pytest.mark.integration
@pytest.mark.usefixtures("absent")
def test_a_new_package_is_installed_recorded_and_removed_again(tmp_path: Path) -> None:
    record = tmp_path / "record"
    wanted = ["bash", SMALL]
    assert call(record, check=True, name=wanted)["packages"] == [SMALL]
    assert not shutil.which(SMALL)

    assert call(record, name=wanted)["packages"] == [SMALL]
    assert shutil.which(SMALL)
    assert record.read_text() == f"{SMALL}\n"
    assert not call(record, name=wanted)["changed"]

    assert call(record, check=True, state="removed")["packages"] == [SMALL]
    assert shutil.which(SMALL)
    assert call(record, state="removed")["packages"] == [SMALL]
    assert not shutil.which(SMALL)
    assert not record.exists()
    assert not call(record, state="removed")["changed"]


@pytest.mark.integration
def test_a_package_that_does_not_exist_is_an_error_in_apts_words(tmp_path: Path) -> None:
    result = call(tmp_path / "record", name=["no-such-package-anywhere"])
    assert result["failed"]
    assert "Unable to locate package no-such-package-anywhere" in result["msg"]
