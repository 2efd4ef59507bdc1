"""Releases on a host, what they allow together, and the version that a deploy names."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from tests.ansible.conftest import REPOSITORY, load_plugin

filters = load_plugin("plugins/filter/release_order.py")
exporting = load_plugin("plugins/action/export_version.py")
building = load_plugin("plugins/action/build_release.py")
Releases = load_plugin("plugins/module_utils/releases.py").Releases


def install(root: Path, *names: str, bot_code: str = "one") -> Any:
    """A host with these releases, made current one after the other."""
    releases = Releases(root)
    for name in names:
        manifest = root / "releases" / name / "venv/bot/MANIFEST.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(f'{{"commit": "c", "migrations": ["0001_pre_a.sql"], "bot_code": "{bot_code}"}}')
        releases.make_current(name, forward=True)
    return releases


def test_a_way_back_leads_to_the_release_before_and_ends_at_the_oldest(tmp_path: Path) -> None:
    releases = install(tmp_path, "r1", "r2", "r3")
    assert (releases.current, releases.previous) == ("r3", "r2")
    releases.make_current("r2", forward=False)
    assert (releases.current, releases.previous) == ("r2", "r1")
    releases.make_current("r1", forward=False)
    assert (releases.current, releases.previous) == ("r1", "")


def test_what_a_rollback_left_behind_is_not_returned_to(tmp_path: Path) -> None:
    releases = install(tmp_path, "r1", "bad")
    releases.make_current("r1", forward=False)
    install(tmp_path, "r3")
    assert (releases.current, releases.previous) == ("r3", "r1")


def test_five_stay_and_what_is_in_use_never_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    releases = install(tmp_path, *(f"r{number}" for number in range(8)))
    assert releases.outdated(5) == ["r2", "r1", "r0"]
    program = tmp_path / "orbitbot-bot-padaria.conf"
    program.write_text(f"command = run --release {tmp_path}/releases/r0 -- bot\n")
    monkeypatch.setitem(Releases.in_use.__globals__, "PROGRAMS", tmp_path)
    assert releases.outdated(5) == ["r3", "r2", "r1"]
    with subprocess.Popen(["/bin/sh", "-c", f"sleep 60; : {tmp_path}/releases/r1/venv"]) as process:
        try:
            assert releases.outdated(5) == ["r4", "r3", "r2"]
        finally:
            process.kill()


def told(current: str, previous: str, **migrations: list[str]) -> dict[str, Any]:
    """What the module `host_releases` tells of a host whose releases have these migrations."""
    known = {name: {"migrations": each} for name, each in migrations.items()}
    return {
        "release_on_host": {
            "current": current,
            "previous": previous,
            "activated": list(migrations),
            "releases": known,
        }
    }


FIRST = ["0001_pre_a.sql"]
SECOND = [*FIRST, "0002_pre_b.sql", "0003_post_c.sql"]


def test_settled_is_what_every_release_knows_that_the_new_one_follows() -> None:
    hosts = {"one": told("r2", "r1", r1=FIRST, r2=SECOND), "two": told("r1", "", r1=FIRST, r2=SECOND)}
    assert filters.settled(hosts, ["one"], "r3") == "0001,0002,0003"
    assert filters.settled(hosts, ["one", "two"], "r3") == "0001", "a host still runs the one before"
    assert filters.settled(hosts, ["one"], "r2") == "0001", "a repeated run is not the next release"
    assert filters.settled({"new": {"release_on_host": {"current": ""}}}, ["new"], "r1") == ""
    assert filters.settled({"old": told("r0", "", r0=[])}, ["old"], "r1") == "0"


def test_a_rollback_goes_to_the_release_before_or_says_why_not() -> None:
    hosts = {"one": told("r2", "r1", r1=[], r2=[]), "two": told("r2", "r1", r1=[], r2=[])}
    assert filters.rollback_target(hosts, hosts, "") == {"release": "r1", "problem": ""}
    assert filters.rollback_target(hosts, hosts, "r2") == {"release": "r2", "problem": ""}
    missing = filters.rollback_target(hosts, hosts, "r0")["problem"]
    assert missing == "one, two have no release r0; on every host there are: r1, r2"
    oldest = {"one": told("r1", "", r1=[])}
    assert filters.rollback_target(oldest, oldest, "")["problem"].startswith("r1 is the oldest release")
    half = hosts | {"three": told("r1", "", r1=[])}
    assert "three none): name one" in filters.rollback_target(half, half, "")["problem"]


def test_hosts_that_have_pruned_differently_have_the_same_oldest_release() -> None:
    """A bot host keeps r1, which its bots run from, and has pruned r2 for it; the others have pruned r1."""
    hosts = {"bots": told("r4", "r3", r1=[], r3=[], r4=[]), "one": told("r4", "r3", r2=[], r3=[], r4=[])}
    assert filters.rollback_target(hosts, hosts, "")["release"] == "r3"
    at_r3 = {"bots": told("r3", "r1", r1=[], r3=[], r4=[]), "one": told("r3", "r2", r2=[], r3=[], r4=[])}
    refused = filters.rollback_target(at_r3, at_r3, "")["problem"]
    assert refused == "r3 is the oldest release that every host has"


def test_a_release_that_does_not_know_an_applied_post_is_refused() -> None:
    applied = ["0001_pre_a", "0002_pre_b", "0003_post_c"]
    assert filters.unknown_posts(applied, {"migrations": FIRST}) == ["0003_post_c"]
    assert filters.unknown_posts(applied, {"migrations": SECOND}) == []
    assert filters.unknown_posts(applied[:2], {"migrations": FIRST}) == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with one commit, tagged v1."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "file").write_text("one\n")
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def test_a_version_is_exported_with_its_commit(project: Path, tmp_path: Path) -> None:
    commit = exporting.resolve(project, "v1")
    assert commit == exporting.resolve(project, commit[:8])
    (project / "file").write_text("changed\n")
    exporting.export(project, commit, tmp_path / "out")
    assert (tmp_path / "out/file").read_text() == "one\n"
    assert building.commit_of(tmp_path / "out") == commit


@pytest.mark.parametrize("version", ["v2", "--help", "v1;ls", ""])
def test_a_version_that_does_not_exist_is_refused_with_those_that_do(project: Path, version: str) -> None:
    with pytest.raises(AnsibleActionFail, match="latest tags: v1"):
        exporting.resolve(project, version)


def test_a_bots_code_is_what_it_imports_and_its_lock() -> None:
    files = {str(path.relative_to(REPOSITORY)) for path in building.bot_files(REPOSITORY)}
    assert {"app/orbitbot/bot/main.py", "app/orbitbot/foundation/logs.py", "locks/bot.txt"} <= files
    rooms = {file.split("/")[2] for file in files if file.startswith("app/orbitbot/") and file.count("/") > 2}
    assert rooms == {"bot", "contracts", "foundation"}
    assert "app/orbitbot/foundation/web.py" not in files, "a bot serves nothing"


def test_a_change_outside_of_a_bot_leaves_its_code_alone(tmp_path: Path) -> None:
    for name in ("app", "locks"):
        subprocess.run(["cp", "-r", str(REPOSITORY / name), str(tmp_path / name)], check=True)
    before = building.bot_code(tmp_path)
    for inside, path in (
        (False, "app/orbitbot/gateway/main.py"),
        (False, "locks/application.txt"),
        (True, "app/orbitbot/contracts/bot.py"),
        (True, "locks/bot.txt"),
    ):
        file = tmp_path / path
        text = file.read_text()
        file.write_text(text + "\n# changed\n")
        assert (building.bot_code(tmp_path) != before) is inside, path
        file.write_text(text)
