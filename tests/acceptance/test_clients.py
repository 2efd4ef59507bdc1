"""One client by playbook: added, added again, changed, interrupted, removed, purged; the others stay."""

import os
import pwd
import random
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.deployment import Client, Deployment
from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import Run, command, environment, playbook
from tests.support.api import Api

INTERRUPTIONS = 2


@pytest.fixture
def guest(deployment: Deployment) -> Iterator[Client]:
    """A client of this test's own, purged afterwards if it is still there."""
    guest = Client("hospede")
    yield guest
    with deployment.operator() as operator:
        known = {each["id"] for each in operator.http.get("/api/clients").json()["clients"]}
    if guest.id in known:
        remove(guest, "purge=yes")


def others(deployment: Deployment, guest: Client) -> dict[str, int]:
    """Pid of every program but the guest's."""
    return {each["name"]: each["pid"] for each in deployment.programs() if each["name"] != guest.program}


def given(guest: Client) -> list[str]:
    """What every addition of the guest is given."""
    return ["-e", f"client={guest.id}", "-e", "channel=simulator"]


def add(guest: Client, *values: str) -> Run:
    """Add the guest, or change it."""
    return playbook(
        "add-client", *given(guest), *(word for value in values for word in ("-e", value))
    ).require_success()


def remove(guest: Client, *values: str) -> Run:
    """Remove the guest."""
    arguments = [word for value in (f"client={guest.id}", *values) for word in ("-e", value)]
    return playbook("remove-client", *arguments).require_success()


def user_exists(guest: Client) -> bool:
    """Whether the bot's system user is there."""
    return guest.user in {entry.pw_name for entry in pwd.getpwall()}


def test_a_client_is_added_once_changed_where_asked_and_removed(
    deployment: Deployment, operator: Api, guest: Client
) -> None:
    before = others(deployment, guest)
    added = add(guest, "display_name='Pousada do Hóspede'")
    assert added.changed > 0
    assert f"{guest.id} runs on this-machine, channel simulator, connected." in added.output
    pid = deployment.pid(guest.program)
    assert pid
    assert Path(f"/proc/{pid}").owner() == guest.user
    assert stat.S_IMODE(guest.state_directory.stat().st_mode) == 0o700
    assert guest.state_directory.owner() == guest.user
    credential = guest.state_directory / "credential.json"
    assert (credential.owner(), stat.S_IMODE(credential.stat().st_mode)) == (guest.user, 0o400)
    assert stat.S_IMODE(guest.settings_file.stat().st_mode) == 0o640

    add(guest).require_changes(0)
    assert deployment.pid(guest.program) == pid
    assert operator.client(guest.id).name == "Pousada do Hóspede"  # not given again, and kept

    add(guest, "language=en").require_changes(1)
    assert operator.client(guest.id).language == "en"
    assert deployment.pid(guest.program) == pid

    # A credential that opens nothing any more is replaced; the bot reads it anew, without a restart.
    revoking = {"kind": "bot", "revokeEarlier": True}
    operator.http.post(f"/api/clients/{guest.id}/credentials", json=revoking).raise_for_status()
    old = credential.read_bytes()
    add(guest).require_changes(2)
    assert credential.read_bytes() != old

    assert remove(guest).changed > 0
    assert not user_exists(guest)
    assert not guest.settings_file.exists()
    assert not credential.exists()
    assert guest.program not in {each["name"] for each in deployment.programs()}
    state = guest.state_directory
    assert {path.owner() for path in (state, *state.rglob("*"))} == {"root"}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert operator.client(guest.id).state == "removed"
    remove(guest).require_changes(0)

    journal = (state / "journal.db").stat().st_ino
    assert add(guest).changed > 0
    assert (state / "journal.db").stat().st_ino == journal
    assert {path.owner() for path in (state, *state.rglob("*"))} == {guest.user}

    remove(guest, "purge=yes")
    assert not state.exists()
    assert not guest.log_file.exists()
    assert operator.http.get(f"/api/clients/{guest.id}").status_code == 404
    assert others(deployment, guest) == before


def test_an_interrupted_addition_is_completed_by_the_next(
    deployment: Deployment, guest: Client, seed: int
) -> None:
    chance = random.Random(seed)
    before = others(deployment, guest)
    for _ in range(INTERRUPTIONS):
        interrupt(command("add-client", *given(guest)), after_tasks=chance.randrange(5, 24))
    add(guest)
    assert deployment.pid(guest.program)
    add(guest).require_changes(0)
    assert others(deployment, guest) == before


def test_an_interrupted_removal_is_completed_by_the_next(
    deployment: Deployment, guest: Client, seed: int
) -> None:
    chance = random.Random(seed)
    add(guest)
    arguments = ("-e", f"client={guest.id}", "-e", "purge=yes")
    interrupt(command("remove-client", *arguments), after_tasks=chance.randrange(10, 18))
    remove(guest, "purge=yes")
    assert not user_exists(guest)
    assert not guest.state_directory.exists()


def interrupt(words: list[str], *, after_tasks: int) -> None:
    """Start a playbook, and kill it and all that it has started when it begins its `after_tasks`-th task."""
    running = subprocess.Popen(
        words,
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    seen = 0
    with running.stdout:
        for line in running.stdout:
            seen += line.startswith("TASK [")
            if seen == after_tasks:
                os.killpg(running.pid, signal.SIGKILL)
                break
    running.wait(timeout=30)
    assert seen == after_tasks, f"the playbook has only {seen} tasks"
