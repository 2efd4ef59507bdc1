"""Backups when something is wrong: damage, silence, lost hosts; each way back, on a fleet of its own.

The tests build on each other in their order; the last ones lose a host for good.
"""

import json
import re
import shlex
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.fleet.backups import METRICS, RECORDS, TOLD_AGAIN, Backups
from tests.fleet.conftest import is_kept, lasting_site
from tests.fleet.site import PERSONALITY, SAY, Site
from tests.hosts.plan import HostRequest
from tests.hosts.store import Store
from tests.support.net import wait_for

pytestmark = [pytest.mark.fleet, pytest.mark.faults, pytest.mark.timeout(2400)]

HOSTS = (
    HostRequest("gateway-1", ("control", "gateway", "ai")),
    HostRequest("bots-1", ("bots",)),
    HostRequest("bots-2", ("bots",)),
    HostRequest("backup-1", ("backup", "speech", "monitoring")),
    HostRequest("database-1", ("database", "cache")),
)
DATABASE, REPOSITORY = "database-1", "backup-1"
CONTACT = "5511900000077"
QUESTION = "Qual o horario de funcionamento?"
DAY = 86_400
ARCHIVED_AFTER = 60 + 5  # seconds: the archive's time-out, and what it takes to ship a segment
# `fill` makes a snapshot for each of the last forty days, `list` prints when each was made.
RESTIC = """
import json, sys, time
sys.path.insert(0, "/usr/local/lib/orbitbot-backup")
from datetime import datetime
from pathlib import Path
from orbitbot_backup.restic import Repository
from orbitbot_backup.settings import DEFAULT, load
settings = load()
restic = Repository(settings.restic, Path(settings.state))
if sys.argv[1] == "fill":
    for day in range(1, 41):
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - day * 86400 - 60))
        restic._run("backup", "--tag", "files", "--time", at, str(DEFAULT))
else:
    times = (each["time"][:19] for each in restic.snapshots("files"))
    print(json.dumps([datetime.fromisoformat(each).timestamp() for each in times]))
"""


@pytest.fixture(scope="module")
def site(store: Store) -> Iterator[Site]:
    """The fleet, with a client on each bot host. ORBITBOT_KEEP_FLEET=1 takes a kept one as it is."""
    with lasting_site(store, "backup", HOSTS, keep=is_kept()) as (made, kept):
        if not kept:
            made.play("site").require_success()
            made.add_clients()
        yield made


@pytest.fixture(scope="module")
def backups(site: Site) -> Backups:
    return Backups(site)


@pytest.fixture(scope="module", autouse=True)
def backed_up(site: Site) -> str:
    """Something said and a backup of everything; what the playbook told."""
    for client in site.clients:
        site.say(client, "Bom dia", CONTACT)
    return site.play("backup", full="yes").require_success().output


def test_a_second_run_changes_nothing(site: Site) -> None:
    site.play("site").require_success().require_changes(0)


def test_a_host_reaches_nothing_but_its_own_repository(site: Site, backups: Backups) -> None:
    """The key of a bot host opens no shell on the backup host, and no other host's files."""
    key = "-i /etc/orbitbot/backup/id_ed25519 -o UserKnownHostsFile=/etc/orbitbot/backup/known_hosts"
    user = backups.on(
        "bots-1", "sed -n 's/.*sftp:\\(orbk-[0-9a-f]*\\)@.*/\\1/p' /etc/orbitbot/backup/settings.toml"
    )
    address = site.mesh[REPOSITORY]

    def sftp(command: str) -> str:
        return backups.on("bots-1", f"echo '{command}' | sftp {key} -b - {user}@{address} 2>&1; echo")

    assert "uid=" not in backups.on(
        "bots-1", f"ssh {key} -o BatchMode=yes {user}@{address} id </dev/null; echo"
    )
    assert "config" in sftp("ls repository")
    assert "Permission denied" in sftp("ls ../bots-2")


def test_a_timer_runs_its_job(backups: Backups) -> None:
    """The real timer and service, at another time of day."""
    before = backups.record("bots-2", "files")["succeeded_at"]
    place = "/run/systemd/system/orbitbot-backup-files.timer.d"
    soon = "[Timer]\\nOnCalendar=\\nOnCalendar=*:*:0/5\\nRandomizedDelaySec=0\\nAccuracySec=1s\\n"
    restart = "systemctl daemon-reload && systemctl restart orbitbot-backup-files.timer"
    backups.on("bots-2", f"mkdir -p {place} && printf '{soon}' >{place}/soon.conf && {restart}")
    try:
        wait_for(
            lambda: backups.record("bots-2", "files")["succeeded_at"] > before, "a run by the timer", 120
        )
    finally:
        backups.on("bots-2", f"rm -r {place} && {restart}")


def test_cron_runs_a_job_where_there_is_no_systemd(backups: Backups) -> None:
    """The table as the role writes it, for the next minute."""
    install = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends cron"
    backups.on("bots-2", install, 300)
    before = backups.record("bots-2", "files")["succeeded_at"]
    text = (
        "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        "* * * * * root orbitbot-backup run files >> /var/log/orbitbot/backup.log 2>&1"
    )
    backups.on("bots-2", f"printf '%s\\n' '{text}' >/etc/cron.d/orbitbot-backup")
    try:
        wait_for(lambda: backups.record("bots-2", "files")["succeeded_at"] > before, "a run by cron", 150)
    finally:
        backups.on("bots-2", "rm /etc/cron.d/orbitbot-backup")


def test_a_job_that_silently_stops_running_is_noticed(site: Site, backups: Backups) -> None:
    """Nothing runs and nothing says so: the age alone tells, by exit status and as a metric."""
    since = "/var/lib/orbitbot/backups/since-*"
    record = f"{RECORDS}/files.json"
    backups.on("bots-2", f"mv {record} /root/files.json && touch -d '3 days ago' {since}")
    try:
        assert "overdue: no success for 72 h" in backups.refused("bots-2", "status")
        status = site.play("status")
        assert status.status != 0
        assert "bots-2: files: overdue" in status.output
    finally:
        backups.on("bots-2", f"mv /root/files.json {record}; touch {since}")
    metrics = dict(
        re.findall(r'^(\w+)\{job="files"\} (\S+)$', backups.on("bots-2", f"cat {METRICS}"), re.MULTILINE)
    )
    succeeded = float(metrics["orbitbot_backup_last_success_timestamp_seconds"])
    assert succeeded == pytest.approx(backups.record("bots-2", "files")["succeeded_at"], abs=1)
    assert float(metrics["orbitbot_backup_max_age_seconds"]) == 30 * 3600
    site.play("status").require_success()


def test_archiving_that_silently_fails_is_noticed(backups: Backups) -> None:
    """The repository cannot be written to any more; the database goes on, and its backup says so."""
    path = backups.on(REPOSITORY, "ls -d /var/backups/orbitbot/*/pgbackrest")
    backups.on(REPOSITORY, f"chown -R root {path}")
    try:
        assert "was not archived" in backups.refused(REPOSITORY, "run", "database")
        assert "failed: " in backups.refused(REPOSITORY, "status")
        assert 'orbitbot_backup_last_run_ok{job="database"} 0' in backups.on(REPOSITORY, f"cat {METRICS}")
    finally:
        backups.on(REPOSITORY, f"chown -R postgres:postgres {path}")
    backups.job(REPOSITORY, "run", "database")


def test_a_missing_wal_segment_is_named(backups: Backups) -> None:
    find = "find /var/backups/orbitbot/*/pgbackrest/archive -name '*.zst' | sort | tail -n 2 | head -n 1"
    path = backups.on(REPOSITORY, find)
    backups.on(REPOSITORY, f"mv {path} /root/segment")
    try:
        said = backups.refused(REPOSITORY, "verify")
    finally:
        backups.on(REPOSITORY, f"mv /root/segment {path}")
    assert f"missing WAL: {path.rpartition('/')[2][:24]}" in said
    backups.job(REPOSITORY, "verify")


def test_a_flipped_bit_is_named(site: Site, backups: Backups) -> None:
    find = "find /var/backups/orbitbot/*/pgbackrest/backup -name '*.zst' -size +8k | head -n 1"
    path = backups.on(REPOSITORY, find)
    flip = (
        f"cp --archive {path} /root/whole && python3 -c \"f = open('{path}', 'r+b'); "
        'f.seek(3000); b = f.read(1)[0]; f.seek(3000); f.write(bytes([b ^ 1]))"'
    )
    backups.on(REPOSITORY, flip)
    try:
        said = backups.refused(REPOSITORY, "verify")
        assert path.rpartition("/")[2] in said
        assert path.rpartition("/")[2] in backups.refused(REPOSITORY, "run", "database")
        status = site.play("status")
        assert status.status != 0
        assert f"{REPOSITORY}: database: failed:" in status.output
    finally:
        backups.on(REPOSITORY, f"cp --archive /root/whole {path}")
    backups.job(REPOSITORY, "run", "database")
    backups.job(REPOSITORY, "status")


def test_a_flipped_bit_in_a_hosts_files_is_named(backups: Backups) -> None:
    path = backups.on(
        REPOSITORY, "find /var/backups/orbitbot/*/restic/bots-2/repository/data -type f | head -n 1"
    )
    flip = (
        f"cp --archive {path} /root/whole && chmod u+w {path} && python3 -c \"f = open('{path}', 'r+b'); "
        'f.seek(100); b = f.read(1)[0]; f.seek(100); f.write(bytes([b ^ 1]))"'
    )
    backups.on(REPOSITORY, flip)
    try:
        said = backups.refused("bots-2", "verify")
    finally:
        backups.on(REPOSITORY, f"cp --archive --force /root/whole {path}")
    assert path.rpartition("/")[2][:8] in said
    backups.job("bots-2", "verify")


def test_what_the_policy_does_not_keep_expires(backups: Backups) -> None:
    """Of forty days' files: fourteen daily ones stay, then weekly and monthly ones; of the database, four."""

    def days_kept() -> set[int]:
        told = json.loads(backups.on("bots-2", f"python3 -c {shlex.quote(RESTIC)} list"))
        return {int((time.time() - each) // DAY) for each in told}

    backups.on("bots-2", f"python3 -c {shlex.quote(RESTIC)} fill", 400)
    assert days_kept() >= set(range(1, 41))
    backups.job("bots-2", "run", "files")
    kept = sorted(days_kept())
    assert kept[:14] == list(range(14))
    assert 3 <= len(kept[14:]) <= 8, kept  # a week apart, and a month

    for _ in range(5):
        backups.job(REPOSITORY, "run", "database", "--full")
    info = json.loads(backups.on(REPOSITORY, "cd / && runuser -u postgres -- pgbackrest --output=json info"))
    assert len([each for each in info[0]["backup"] if each["type"] == "full"]) == 4
    assert "none missing" in backups.job(REPOSITORY, "verify")


def test_a_restore_to_the_end_of_the_archive_loses_nothing(site: Site, backups: Backups) -> None:
    site.say("padaria", QUESTION, CONTACT)
    rows = backups.sql("SELECT count(*), max(received_at) FROM turns")
    run = site.play("restore", to="latest").require_success()
    assert "at the end of the archive" in run.output
    assert backups.sql("SELECT count(*), max(received_at) FROM turns") == rows
    assert site.say("clinica", QUESTION, CONTACT)


def test_a_restore_under_traffic_loses_no_acknowledged_message(site: Site, backups: Backups) -> None:
    """Messages that come during the restore wait in the journals, and each has one answer at the end."""
    moment = backups.sql("SELECT now()").partition("+")[0]
    time.sleep(1.1)
    before = int(backups.sql("SELECT count(*) FROM turns WHERE state = 'delivered'"))
    with ThreadPoolExecutor() as pool:
        early = [pool.submit(site.say, "padaria", QUESTION, f"551190000{n:04}") for n in range(4)]
        assert all(each.result(150).strip() for each in early)
        restore = pool.submit(site.play, "restore", to=moment)
        late: list[Future[str]] = []
        while len(late) < 5 and not restore.done():
            late.append(pool.submit(site.say, "padaria", QUESTION, f"551190001{len(late):04}"))
            time.sleep(4)
        restore.result().require_success()
        assert all(each.result(200).strip() for each in late)
    wanted = before + len(early) + len(late)
    counted = "SELECT count(*), count(DISTINCT id) FROM turns WHERE state = 'delivered'"
    wait_for(
        lambda: backups.sql(counted) == f"{wanted}|{wanted}", f"{wanted} turns in the ledger", TOLD_AGAIN
    )
    exchanges = "SELECT count(*) FROM turns WHERE contact LIKE '%551190001%' AND response = ''"
    assert backups.sql(exchanges) == "0"


def test_the_logical_dump_is_the_second_way_back(site: Site, backups: Backups) -> None:
    """pgBackRest's repository is gone altogether."""
    backups.job(DATABASE, "run", "dump")
    rows = backups.sql("SELECT count(*) FROM turns")
    path = backups.on(REPOSITORY, "ls -d /var/backups/orbitbot/*/pgbackrest")
    backups.on(REPOSITORY, f"mv {path} {path}.gone")
    try:
        backups.sql("DELETE FROM turns; DROP TABLE exchanges CASCADE")
        run = site.play("restore", to="dump").require_success()
    finally:
        backups.on(REPOSITORY, f"mv {path}.gone {path}")
    assert "at the last dump" in run.output
    assert backups.sql("SELECT count(*) FROM turns") == rows
    assert int(backups.sql("SELECT count(*) FROM exchanges")) > 0
    assert site.say("padaria", QUESTION, CONTACT)


def test_a_database_whose_disk_is_lost_comes_back_but_for_a_minute(site: Site, backups: Backups) -> None:
    """What no bot knows of is lost, a minute of it at most; what bots had finished they tell again."""
    backups.sql("CREATE TABLE ticks (at timestamptz NOT NULL)")
    tick = "INSERT INTO ticks VALUES (clock_timestamp()); SELECT pg_sleep(1)"
    ticking = f'for n in {{1..90}}; do echo "{tick};"; done | runuser -u postgres -- psql -qAt -d orbitbot'
    backups.on(DATABASE, f"cd / && {ticking}", 150)
    assert site.say("padaria", QUESTION, CONTACT)
    finished = backups.turns()
    last = float(backups.sql("SELECT extract(epoch FROM max(at)) FROM ticks"))
    backups.on(
        DATABASE,
        "systemctl kill --signal=QUIT postgresql@15-main; pg_dropcluster --stop 15 main",
        120,
    )

    lost = site.play("site")
    assert lost.status != 0
    assert "Have the repository know the database" in lost.output
    site.play("restore", to="latest").require_success()
    site.play("site").require_success()

    found = float(backups.sql("SELECT extract(epoch FROM max(at)) FROM ticks"))
    assert last - found <= ARCHIVED_AFTER
    wait_for(lambda: backups.turns() == finished, "told again", TOLD_AGAIN)
    backups.sql("DROP TABLE ticks")
    assert site.say("padaria", QUESTION, CONTACT)


@pytest.mark.parametrize("to", ["dump", "a moment"])
def test_one_client_alone_comes_back(site: Site, backups: Backups, to: str) -> None:
    backups.job(DATABASE, "run", "dump")
    configured = backups.sql("SELECT * FROM client_configs WHERE client_id = 'padaria' ORDER BY version")
    moment = backups.sql("SELECT now()").partition("+")[0]
    time.sleep(1.1)
    site.say("clinica", QUESTION, CONTACT)
    others = backups.sql("SELECT count(*) FROM turns WHERE client_id = 'clinica'")
    backups.sql("DELETE FROM client_configs WHERE client_id = 'padaria'")
    run = site.play("restore", to=to if to == "dump" else moment, client="padaria").require_success()
    assert "schema before_" in run.output
    assert configured
    assert (
        backups.sql("SELECT * FROM client_configs WHERE client_id = 'padaria' ORDER BY version") == configured
    )
    assert backups.sql("SELECT count(*) FROM turns WHERE client_id = 'clinica'") == others
    assert site.say("padaria", QUESTION, CONTACT)
    unknown = site.play("restore", to=to if to == "dump" else moment, client="ninguem")
    assert unknown.status != 0
    assert "there was no client" in unknown.output


def test_a_moment_that_no_backup_reaches_is_refused_and_everything_runs_on(site: Site) -> None:
    run = site.play("restore", to="2020-01-01 00:00")
    assert run.status != 0
    assert "reaches back to" in run.output
    assert site.say("padaria", QUESTION, CONTACT)


def test_the_drill_compares_every_row_and_asks_a_question(site: Site, backups: Backups) -> None:
    site.play("backup", full="yes").require_success()
    run = site.play("restore-drill").require_success()
    assert "a question was answered" in run.output
    facts = backups.record(REPOSITORY, "drill")["facts"]
    assert facts["rows"] > 0
    assert facts["answer"]
    assert "backup   drill 0.0 h ago" in site.play("status").require_success().output
    assert 'orbitbot_backup_last_run_ok{job="drill"} 1' in backups.on(REPOSITORY, f"cat {METRICS}")


def test_a_drill_that_finds_other_rows_fails_and_status_says_so(site: Site, backups: Backups) -> None:
    """A dump whose manifest tells of one row more than there are."""
    backups.job(DATABASE, "run", "database") if DATABASE == REPOSITORY else backups.job(
        REPOSITORY, "run", "database"
    )
    dumping = "/usr/local/lib/orbitbot-backup/orbitbot_backup/dumping.py"
    spoil = f'sed -i.whole \'s/found = read_fingerprints(.*/&; found["public.clients"][0] = "77"/\' {dumping}'
    backups.on(DATABASE, spoil)
    try:
        backups.job(DATABASE, "run", "dump")
    finally:
        backups.on(DATABASE, f"mv {dumping}.whole {dumping}")
    run = site.play("restore-drill")
    assert run.status != 0
    assert "public.clients has 2 rows instead of 77" in run.output
    status = site.play("status")
    assert status.status != 0
    assert f"{REPOSITORY}: drill: failed:" in status.output
    backups.job(DATABASE, "run", "dump")
    site.play("restore-drill").require_success()
    site.play("status").require_success()


def test_a_lost_host_is_believed_lost_only_when_told_and_no_session_is_overwritten(
    site: Site, backups: Backups
) -> None:
    wanted = {"lost_host": "bots-1", "host": "bots-2"}
    assert "old_host_is_dead: must be yes" in site.play("restore", **wanted).output
    state = "/var/lib/orbitbot/bots/padaria"
    backups.on("bots-2", f"mkdir {state}")
    try:
        refused = site.play("restore", **wanted, old_host_is_dead="yes")
    finally:
        backups.on("bots-2", f"rmdir {state}")
    assert refused.status != 0
    assert "bots-2 has a session already: padaria" in " ".join(refused.output.split())
    assert site.say("padaria", QUESTION, CONTACT), "the bot that runs was touched"


def test_the_bots_of_a_host_that_is_lost_come_back_on_another_one(site: Site, backups: Backups) -> None:
    """One as it was, one whose phone is not linked, one that no backup has; nothing is answered twice."""
    for client in ("oficina", "tardia"):
        if client == "tardia":
            site.play("backup").require_success()
        given = {"client": client, "channel": "simulator", "settings_file": PERSONALITY, "host": "bots-1"}
        site.play("add-client", **given).require_success()
        if client == "oficina":
            account = "/var/lib/orbitbot/bots/oficina/simulator/account.json"
            unlink = f'echo \'{{"linked": false, "codes": 600}}\' >{account}; chown bot-oficina {account}'
            backups.on("bots-1", f"{unlink}; supervisorctl restart bot-oficina")
    site.say("padaria", QUESTION, CONTACT)
    delivered = int(
        backups.sql("SELECT count(*) FROM turns WHERE client_id = 'padaria' AND state = 'delivered'")
    )
    services = backups.on("gateway-1", "cd /etc/supervisor/conf.d && ls orbitbot-ai*.conf").replace(
        ".conf", ""
    )
    backups.on("gateway-1", f"supervisorctl stop {services}")
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(site.say, "padaria", QUESTION, "5511900000099")
        in_flight = "SELECT id FROM turns WHERE client_id = 'padaria' AND finished_at IS NULL"
        turn = wait_for(lambda: backups.sql(in_flight), "a message in flight", 60)
        site.fleet.kill("bots-1")
        assert asked.exception(200) is not None
    backups.on("gateway-1", f"supervisorctl start {services}")
    wanted = {"lost_host": "bots-1", "host": "bots-2", "old_host_is_dead": "yes"}

    run = site.play("restore", **wanted).require_success()

    assert "padaria: connected, as it was at" in run.output
    assert "oficina: waiting_for_pairing, as it was at" in run.output
    assert "tardia: connected, with nothing from a backup" in run.output
    assert turn in run.output, "the ledger does not say what was in flight"
    link = re.search(r"https://\S+/pair\S*", run.output)
    assert link, "no pairing page is ready"
    for client in ("padaria", "tardia"):
        said = f"{SAY} {client} '{QUESTION}' --from={CONTACT} --timeout=120"
        assert backups.on("bots-2", said, 150)
    after = int(backups.sql("SELECT count(*) FROM turns WHERE client_id = 'padaria' AND state = 'delivered'"))
    assert after == delivered + 1
    again = site.play("restore", **wanted).require_success()
    assert "bots-1 has the lease of no client: there is nothing to bring back" in again.output
