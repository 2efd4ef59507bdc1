"""Backups of a fleet: made, verified, told; and a restore to the second before a table was dropped."""

import json
import time

import pytest

from tests.fleet.backups import METRICS, TOLD_AGAIN, Backups
from tests.fleet.site import Site
from tests.support.net import wait_for

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]

CONTACT = "5511900000077"


@pytest.fixture(scope="module")
def backups(site: Site) -> Backups:
    return Backups(site)


def test_every_host_backs_itself_up_and_says_so(site: Site, backups: Backups) -> None:
    said = site.play("backup", full="yes").require_success().output
    assert "database: full backup" in said
    assert "none missing" in said
    for host in site.hosts:
        wanted = backups.wanted(host)
        told = json.loads(backups.on(host, "orbitbot-backup status --json"))
        assert {each["job"] for each in told} == wanted
        assert [each["alarm"] for each in told] == [""] * len(wanted)
        timers = backups.on(host, "systemctl list-timers --no-legend 'orbitbot-backup-*' | wc -l")
        assert int(timers) == len(wanted)
        assert 'orbitbot_backup_last_run_ok{job="files"} 1' in backups.on(host, f"cat {METRICS}")
    for client, host in site.clients.items():
        assert client in backups.record(host, "files")["facts"]["bots"]


def test_a_restore_to_the_second_before_a_table_is_dropped(site: Site, backups: Backups) -> None:
    """What was acknowledged after that second comes back from the bots' journals."""
    assert site.say("padaria", "Bom dia", CONTACT)
    delivered = "SELECT count(*) FROM turns WHERE state = 'delivered'"
    before = int(backups.sql(delivered))
    moment = backups.sql("SELECT now()").partition("+")[0]
    time.sleep(1.1)  # to the second before
    assert site.say("padaria", "Qual o preço do pão?", CONTACT)
    wait_for(lambda: int(backups.sql(delivered)) > before, "delivered", 60)
    finished = backups.turns()
    backups.sql("DROP TABLE exchanges CASCADE")

    run = site.play("restore", to=moment).require_success()

    try:
        assert int(backups.sql("SELECT count(*) FROM exchanges")) > 0
        wait_for(lambda: backups.turns() == finished, "told again", TOLD_AGAIN)
        assert site.say("padaria", "Bom dia", CONTACT)
        assert "The old data are kept as" in run.output
    finally:
        backups.on(backups.database, "rm -rf /var/lib/postgresql/*/main.before-*")
