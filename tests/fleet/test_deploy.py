"""Deploy and rollback on a fleet that answers 20 messages a second: none fails, is lost or is doubled."""

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.ansible.conftest import REPOSITORY, load_plugin
from tests.ansible.running import Run
from tests.fleet.load import Load
from tests.fleet.site import Site
from tests.hosts.processes import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]

RATE: Final = 20.0  # messages a second
REPEATED: Final = 12  # posts whose connection a reload of nginx closed just then: one for each sender at most
KILLS: Final = 3  # of a deploy's controller
SENDERS: Final = 12
SERVERS: Final = ("gateway-1", "gateway-2", "speech-1")
SOURCES: Final = ("app", "templates", "locks", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
GATEWAY: Final = "app/orbitbot/gateway/limits.py"  # modules that a test's release changes
BOT: Final = "app/orbitbot/bot/backoff.py"
MIGRATIONS: Final = "app/orbitbot/foundation/migrations"


@dataclass
class Project:
    """A git repository with this checkout's release, tagged `base`, and what tests make of it."""

    folder: Path

    def git(self, *words: str) -> str:
        """Run git there; what it prints."""
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        command = ["git", "-C", str(self.folder), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def version(self, tag: str, *changed: str, **made: str) -> str:
        """Commit a change of these files on top of `base`, and migrations with these names; the tag.

        Args:
            changed: Python modules, which get a comment.
            made: name of a migration without its ending → its SQL.
        """
        self.git("checkout", "-q", "base")
        for name in changed:
            with (self.folder / name).open("a") as file:
                file.write(f"# {tag}\n")
        for name, statement in made.items():
            (self.folder / MIGRATIONS / f"{name.removeprefix('m')}.sql").write_text(f"{statement}\n")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", tag)
        self.git("tag", "--force", tag)
        return tag


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of this module's releases."""
    return make_project(tmp_path_factory.mktemp("project"))


def make_project(folder: Path) -> Project:
    """A repository of this checkout's release."""
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    made = Project(folder)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"], ["tag", "base"]):
        made.git(*words)
    return made


def version_of(project: Project, tag: str) -> str:
    """The release that a tag makes."""
    project.git("checkout", "-q", tag)
    return str(load_plugin("plugins/action/build_release.py").release_version(project.folder))


@contextmanager
def checkout(site: Site, project: Project) -> Iterator[None]:
    """Have the inventory name the project as the checkout.

    Not as an extra variable, which would win over the export of the version that is asked for.
    """
    path = site.inventory / "group_vars/all/zzz-project.yml"
    path.write_text(json.dumps({"release_project": str(project.folder)}))
    try:
        yield
    finally:
        path.unlink()


def deploy(site: Site, project: Project, tag: str, **values: str) -> Run:
    """Run deploy.yml for a tag of the project."""
    with checkout(site, project):
        return site.play("deploy", version=tag, **values)


def words(run: Run) -> str:
    """What a run said, without the breaks of its lines."""
    return " ".join(run.output.split())


def releases(site: Site) -> dict[str, str]:
    """Server → the release that it says it is, asked through its nginx."""
    found = {}
    for host in SERVERS:
        port = 3002 if host.startswith("speech") else 3000
        answer = site.fleet.ssh(host, f"curl --silent http://{site.mesh[host]}:{port}/healthz")
        found[host] = str(json.loads(answer)["version"])
    return found


def current(site: Site, host: str) -> str:
    """The host's current release."""
    return site.fleet.ssh(host, "basename $(readlink /opt/orbitbot/current)").strip()


def settled(site: Site, host: str) -> bool:
    """Whether a host runs one slot of each of its services and no other."""
    running = site.fleet.ssh(host, "supervisorctl status | grep ^orbitbot- | wc -l")
    fronts = site.fleet.ssh(host, "ls /etc/orbitbot/fronts/*.conf | wc -l")
    return running == fronts


@contextmanager
def load(site: Site, *, check: bool = True) -> Iterator[Load]:
    """Messages through the first gateway's nginx; at the end none was lost, doubled or failed."""
    before = {host: errors(site, host) for host in site.group("gateway")}
    (gateway, *_) = before
    with Load(lambda: site.api(gateway), "padaria", senders=SENDERS, rate=RATE, repeats=True) as posts:
        posts.wait_for_answers(20, 60)
        yield posts
        posts.wait_for_answers(20, 60)
    if not check:
        return
    assert posts.failed == []
    assert {host: errors(site, host) for host in before} == before, "answers of 5xx in nginx's log"
    assert len(posts.repeated) <= REPEATED, posts.repeated
    keys = [each.key for each in posts.posted]
    assert len(set(keys)) == len(keys) == len(posts.answered)
    assert ledger(site, posts.contacts) == (len(keys), len(keys)), "turns and exchanges of these contacts"


def errors(site: Site, host: str) -> int:
    """Answers of 5xx that the host's nginx has given to anybody outside."""
    counted = r"awk '$9 ~ /^5/' /var/log/nginx/orbitbot.access.log | wc -l"
    return int(site.fleet.ssh(host, counted))


def ledger(site: Site, contacts: str) -> tuple[int, int]:
    """Turns and exchanges of the contacts whose number begins so."""
    query = (
        f"SELECT (SELECT count(*) FROM turns WHERE contact LIKE '{contacts}%' AND response <> ''),"
        f" (SELECT count(*) FROM exchanges WHERE contact LIKE '{contacts}%')"
    )
    turns, exchanges = sql(site, query).split(",")
    return int(turns), int(exchanges)


def sql(site: Site, statement: str) -> str:
    """What a statement of the database's superuser returns."""
    (host,) = site.group("database")
    return site.fleet.ssh(host, f'su postgres -c "psql -At -F, orbitbot" <<<"{statement}"').strip()


def applied(site: Site) -> list[str]:
    """The numbers of the tests' migrations that the database has."""
    return sql(site, "SELECT version FROM schema_migrations WHERE version > 9000 ORDER BY 1").split()


def forget_migrations(site: Site) -> None:
    """Undo the tests' migrations, and bring the checkout's release back."""
    dropped = "ALTER TABLE clients DROP COLUMN IF EXISTS note"
    sql(site, f"{dropped}; DELETE FROM schema_migrations WHERE version > 9000")
    site.play("site").require_success()


def bot_release(site: Site, client: str) -> str:
    """The release that a bot's process runs from."""
    found = site.fleet.ssh(
        site.clients[client], f"cat /proc/{bot_pid(site, client)}/cmdline | tr '\\0' '\\n'"
    )
    return found.partition("/opt/orbitbot/releases/")[2].partition("/")[0].strip()


def bot_pid(site: Site, client: str) -> int:
    """Supervisor's process of a bot."""
    return int(site.fleet.ssh(site.clients[client], f"supervisorctl pid bot-{client}"))


@contextmanager
def spoilt(site: Site, host: str) -> Iterator[None]:
    """Have the gateway of a host not become ready when it is started anew."""
    folder = site.inventory / "host_vars" / host
    folder.mkdir(parents=True)
    values = {"gateway_redis_port": 1, "gateway_database_port": 1, "service_ready_seconds": 12}
    (folder / "spoilt.yml").write_text(json.dumps(values))
    try:
        yield
    finally:
        shutil.rmtree(folder.parent)


def test_a_deploy_of_what_runs_already_changes_nothing_and_strangers_are_refused(site: Site) -> None:
    site.play("deploy").require_success().require_changes(0)
    unknown = site.play("rollback", version="0.0.0+nobody")
    assert unknown.status != 0
    assert "No rollback: " in words(unknown)
    assert "no release 0.0.0+nobody; on every host there are: " in words(unknown)
    assert current(site, "gateway-1") in words(unknown)


@pytest.mark.long
def test_a_deploy_that_fails_on_the_second_host_returns_there_and_a_rollback_undoes_it_all(
    site: Site, project: Project
) -> None:
    """Under load: the canary changes, the second host does not come up, then everything goes back."""
    before = releases(site)
    (old,) = set(before.values())
    tag = project.version("second", GATEWAY)
    with load(site):
        with spoilt(site, "gateway-2"):
            failed = deploy(site, project, tag)
        assert failed.status != 0
        assert "gateway-2 did not come up with release" in words(failed), failed.output
        assert f"and runs {old} again" in words(failed)
        found = releases(site)
        assert found["gateway-1"] not in ("", old), "the canary has the new one"
        assert found == before | {"gateway-1": found["gateway-1"]}
        site.play("rollback", version=old).require_success()
    assert releases(site) == before
    for host in SERVERS:
        wait_until(lambda host=host: settled(site, host), f"one slot each on {host}", 60)  # type: ignore[misc]
    site.play("site").require_success().require_changes(0)


@pytest.mark.faults
def test_a_deploy_of_everything_and_back_under_load(site: Site, project: Project) -> None:
    """Services change without a failed request; bots, whose code is another one, one after the other."""
    before = releases(site)
    tag = project.version("everything", GATEWAY, BOT)
    with load(site):
        first = deploy(site, project, tag, wave="1").require_success()
        changed = releases(site)
        assert set(changed.values()).isdisjoint(before.values())
        assert len({*changed.values(), *(bot_release(site, client) for client in site.clients)}) == 1
        deploy(site, project, tag).require_success().require_changes(0)
        site.play("rollback").require_success()
    assert "the way back is playbooks/rollback.yml" in words(first)
    assert releases(site) == before
    assert {bot_release(site, client) for client in site.clients} == set(before.values())
    assert site.say("padaria", "Bom dia").strip()
    site.play("site").require_success().require_changes(0)


@pytest.mark.faults
def test_bots_that_do_not_come_up_return_and_the_run_ends(site: Site, project: Project) -> None:
    """The first wave's bots run their old release again; the other host's were never touched."""
    before = releases(site)
    bots = {client: bot_release(site, client) for client in site.clients}
    untouched = bot_pid(site, "clinica")
    tag = project.version("broken-bot", GATEWAY)
    with (project.folder / BOT).open("a") as file:
        file.write('raise RuntimeError("this bot does not start")\n')
    project.git("commit", "-qam", tag)
    project.git("tag", "--force", tag)
    failed = deploy(site, project, tag)
    try:
        assert failed.status != 0
        assert "Of the bots padaria on bots-1 not all came up" in words(failed), failed.output
        assert {client: bot_release(site, client) for client in site.clients} == bots
        assert bot_pid(site, "clinica") == untouched
        assert site.say("padaria", "Bom dia").strip()
    finally:
        site.play("rollback", version=before["gateway-1"]).require_success()
        site.play("site").require_success().require_changes(0)


@pytest.mark.faults
def test_a_release_that_leaves_bots_alone_restarts_none_and_keeps_theirs(
    site: Site, project: Project
) -> None:
    pids = {client: bot_pid(site, client) for client in site.clients}
    used = bot_release(site, "padaria")
    old = releases(site)["gateway-1"]
    for number in range(6):
        deploy(site, project, project.version(f"gateway-{number}", GATEWAY)).require_success()
    assert {client: bot_pid(site, client) for client in site.clients} == pids
    for host in ("bots-1", "gateway-1"):
        kept = site.fleet.ssh(host, "ls /opt/orbitbot/releases").split()
        assert len(kept) == 5, kept
        assert (used in kept) is host.startswith("bots")
    assert old not in site.fleet.ssh("gateway-1", "ls /opt/orbitbot/releases").split()
    lost = site.play("rollback", version=old)
    assert lost.status != 0
    assert f"no release {old}; on every host there are:" in words(lost)

    run = site.play("rollback")
    while run.status == 0:
        before = releases(site)
        run = site.play("rollback")
    assert f"No rollback: {before['gateway-1']} is the oldest release that every host has" in words(run)
    assert releases(site) == before, "nothing was changed"
    assert {client: bot_pid(site, client) for client in site.clients} == pids
    site.play("site").require_success()


@pytest.mark.faults
def test_a_post_migration_runs_with_the_next_release_or_finalize_and_then_bars_the_way_back(
    site: Site, project: Project
) -> None:
    before = releases(site)
    migrations = {"m9001_pre_note": "ALTER TABLE clients ADD note text", "m9002_post_end": "SELECT 1"}
    first = project.version("with-a-post", GATEWAY, **migrations)
    second = project.version("after-the-post", GATEWAY, **migrations)
    last = project.version("finalized", GATEWAY, **migrations, m9003_post_last="SELECT 1")
    try:
        with load(site):
            deploy(site, project, first).require_success()
            assert applied(site) == ["9001"], "its post waits"
            site.play("rollback").require_success()
        assert releases(site) == before
        assert applied(site) == ["9001"], "the schema stays"

        deploy(site, project, first).require_success()
        assert applied(site) == ["9001"], "the same release again is not the next one"
        came_back_to = releases(site)
        deploy(site, project, second).require_success()
        assert applied(site) == ["9001", "9002"]
        site.play("rollback").require_success()
        assert releases(site) == came_back_to, "a release that knows the post runs on it"
        refused = site.play("rollback", version=before["gateway-1"])
        assert refused.status != 0
        assert "cannot run on the database as it is: it does not know 9002_post_end" in words(refused)

        deploy(site, project, last, finalize="yes").require_success()
        assert applied(site) == ["9001", "9002", "9003"]
        there = releases(site)
        refused = site.play("rollback")
        assert refused.status != 0
        assert "it does not know 9003_post_last" in words(refused)
        assert releases(site) == there, "nothing was changed"
    finally:
        forget_migrations(site)


@pytest.mark.faults
def test_a_full_disk_stops_a_deploy_before_anything_is_activated(site: Site, project: Project) -> None:
    before = releases(site)
    tag = project.version("heavy", GATEWAY)
    place = f"/opt/orbitbot/releases/{version_of(project, tag)}"
    try:
        site.fleet.ssh("gateway-2", f"mkdir {place} && mount -t tmpfs -o size=30m none {place}")
        failed = deploy(site, project, tag)
        assert failed.status != 0
        assert "gateway-2 could not take release" in words(failed), failed.output
        assert "Nothing was activated" in words(failed)
        assert releases(site) == before
        assert site.fleet.ssh("gateway-2", f"find {place} -type f").strip() == "", "it was not cleared away"
    finally:
        site.fleet.ssh("gateway-2", f"umount {place}")
    deploy(site, project, tag).require_success()
    site.play("rollback").require_success()
    site.play("site").require_success().require_changes(0)


@pytest.mark.faults
def test_a_deploy_whose_controller_is_killed_is_made_good_by_the_next_one(
    site: Site, project: Project
) -> None:
    before = releases(site)
    rng = random.Random(20_261_130)
    with load(site):
        for number in range(KILLS):
            tag = project.version(f"killed-{number}", GATEWAY, BOT)
            with checkout(site, project):
                site.kill_at_task(rng.randrange(20, 60), "deploy", version=tag)
            assert set(releases(site).values()) != {""}, "every host serves"
            deploy(site, project, tag).require_success()
            assert len(set(releases(site).values())) == 1
        deploy(site, project, tag).require_success().require_changes(0)
    assert releases(site) != before
    site.play("site").require_success()
    assert releases(site) == before
