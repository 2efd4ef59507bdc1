"""Two operators at once, a run that is killed, and what status.yml tells of both."""

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.ansible.conftest import REPOSITORY
from tests.fleet.site import Site

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]

DEADLINE = 120.0  # seconds
_READ = (
    "import json, sys; from pathlib import Path; sys.path.insert(0, '/tmp'); import fleet_runs; "
    "print(json.dumps(fleet_runs.read_runs(Path('/var/lib/orbitbot/runs'), 5)))"
)


def runs(site: Site) -> list[dict[str, Any]]:
    """The last runs' records on the host that holds the lock, the newest first."""
    program = (REPOSITORY / "plugins/module_utils/fleet_runs.py").read_text()
    done = subprocess.run(
        site.fleet.ssh_command("database-1", f'cat >/tmp/fleet_runs.py && python3 -c "{_READ}"'),
        input=program,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def wait_for(site: Site, playbook: str, *states: str, locked: bool = False) -> dict[str, Any]:
    """The last run's record, once it is that playbook's and in one of those states."""
    deadline = time.monotonic() + DEADLINE
    while True:
        last = runs(site)[0]
        if last["playbook"] == playbook and last["state"] in states and (last["locked_at"] or not locked):
            return last
        assert time.monotonic() < deadline, last
        time.sleep(0.2)


@pytest.fixture
def under_way(site: Site) -> Iterator[subprocess.Popen[str]]:
    """A run of site.yml by another operator, who has the lock."""
    run = subprocess.Popen(
        site.command("site"),
        cwd=REPOSITORY,
        env=site.environment | {"ORBITBOT_OPERATOR": "ana"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(site, "site", "running", locked=True)
        yield run
    finally:
        run.kill()
        run.communicate(timeout=DEADLINE)


def test_who_comes_second_is_told_and_gets_it_once_the_first_was_killed(
    site: Site, under_way: subprocess.Popen[str]
) -> None:
    refused = site.play("add-client", client="padaria", host="bots-1", lock_wait=0)
    assert refused.status != 0
    said = " ".join(refused.output.split())
    assert "the fleet is being changed by ana on " in said
    assert ", who runs site since 20" in said
    assert refused.changed == 0

    under_way.kill()
    under_way.communicate(timeout=DEADLINE)
    added = site.play("add-client", client="padaria", host="bots-1", lock_wait=DEADLINE).require_success()
    added.require_changes(0)

    told = site.play("status").require_success().output
    lines = told[told.index("last runs") :].splitlines()[1:4]
    assert "add-client padaria  ok, 0 changed on " in lines[0]
    assert "add-client padaria  REFUSED  by " in lines[1]
    assert "site  INTERRUPTED  by ana on " in lines[2]


def test_changes_of_two_clients_go_side_by_side(site: Site) -> None:
    commands = [
        site.command("add-client", client=client, host=host, lock_wait=0)
        for client, host in (("padaria", "bots-1"), ("clinica", "bots-2"))
    ]
    started = [
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=site.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    for run in started:
        output, _ = run.communicate(timeout=DEADLINE)
        assert run.returncode == 0, output
