"""The runbooks of backups, followed word by word where one host does everything; then all taken down."""

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.ansible.conftest import REPOSITORY
from tests.fleet.conftest import fleet_name
from tests.fleet.site import KEEP, PACKAGES, PERSONALITY, Site
from tests.hosts.fleet import Fleet
from tests.hosts.launch import launch, remove
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.store import Store
from tests.support import runbook

pytestmark = [pytest.mark.fleet, pytest.mark.faults, pytest.mark.timeout(2400)]

HOST = "this-machine"
GROUPS = ("control", "gateway", "ai", "bots", "speech", "database", "cache", "backup", "monitoring")
OFF = "inventory/local has its backups off"


@pytest.fixture(scope="module")
def site(store: Store) -> Iterator[Site]:
    """One host in all groups, with a client; ORBITBOT_KEEP_FLEET=1 takes a kept one as it is."""
    name = fleet_name("solo")
    keep = os.environ.get(KEEP) == "1"
    kept = keep and name in {plan.name for plan in store.plans()}
    if not kept:
        remove(store, name)
        wanted = FleetRequest(name=name, hosts=(HostRequest(HOST, GROUPS),), packages=PACKAGES)
        launch(wanted, store)
    try:
        made = Site(Fleet.load(store, name))
        if not kept:
            made.play("site").require_success()
        given = {"client": "padaria", "channel": "simulator", "settings_file": PERSONALITY}
        made.play("add-client", **given).require_success()
        yield made
    finally:
        if not keep:
            remove(store, name)


def here(site: Site, command: runbook.Command) -> runbook.Command:
    """The command for this host: its inventory, and SSH where the page means a shell on it."""
    text = command.text.replace("-i inventory/local", f"-i {site.inventory}")
    if not text.startswith("ansible-playbook"):
        text = shlex.join(site.fleet.ssh_command(HOST, text))
    return replace(command, text=text)


@pytest.mark.parametrize("page", ["backup", "restore-drill", "restore"])
def test_a_page_is_followed_word_by_word(site: Site, page: str) -> None:
    found = runbook.commands(REPOSITORY / f"docs/runbooks/{page}.md")
    followed = [command for command in found if command.not_run in ("", OFF)]
    assert any(command.not_run for command in followed)
    if (
        page == "backup"
    ):  # its page on how things are comes before anything was made: a drill has not been yet
        site.play("backup", full="yes").require_success()
        site.play("restore-drill").require_success()
    for command in followed:
        runbook.run(here(site, command), timeout=600)


def test_taking_everything_down_leaves_no_job_and_no_repository(site: Site) -> None:
    site.play("down", purge="yes").require_success()
    left = site.fleet.ssh(
        HOST,
        "find /usr/local /etc /var -path '*orbitbot*' -o -name pgbackrest.conf; "
        "systemctl list-timers --all --no-legend 'orbitbot-backup*'; getent passwd | sed -n /orbk-/p",
    )
    assert left.strip() == ""
