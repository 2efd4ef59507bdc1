"""`plugins/action/build_release.py`: what a release is named, what goes into it, and for which Python."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPOSITORY, load_plugin

release = load_plugin("plugins/action/build_release.py")
target = load_plugin("plugins/modules/python_target.py")

ENVIRONMENT = target.marker_environment()
LOCK = """\
anyio==4.16.0 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
async-timeout==5.0.1 ; python_full_version < '3.11.3' \\
    --hash=sha256:cccc
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:dddd
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what a release is made from."""
    copy = tmp_path / "project"
    for name in ("app", "templates", "locks"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", *release.EXTRAS):
        shutil.copy(REPOSITORY / name, copy / name)
    return copy


def this_machine() -> dict[str, Any]:
    """The target that the module tells of the Python under test."""
    return {
        "python": ENVIRONMENT["python_full_version"],
        "machine": ENVIRONMENT["platform_machine"],
        "glibc": str(os.confstr("CS_GNU_LIBC_VERSION")).split()[-1],
        "markers": ENVIRONMENT,
    }


def test_the_hosts_python_decides_about_markers_and_none_are_left() -> None:
    old = release.pinned(LOCK, ENVIRONMENT | {"python_full_version": "3.11.2"})
    new = release.pinned(LOCK, ENVIRONMENT | {"python_full_version": "3.11.7"})
    assert old == [
        "anyio==4.16.0 --hash=sha256:aaaa --hash=sha256:bbbb",
        "async-timeout==5.0.1 --hash=sha256:cccc",
    ]
    assert new == old[:1]


@pytest.mark.parametrize(
    "line",
    ["anyio==4.16.0", "anyio>=4 --hash=sha256:aa", "anyio==4.* --hash=sha256:aa", "anyio --hash=sha256:aa"],
)
def test_a_requirement_without_version_or_hash_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="does not pin"):
        release.pinned(line, ENVIRONMENT)


@pytest.mark.parametrize("kind", ["application", "bot", "speech", "bootstrap"])
@pytest.mark.parametrize("python", ["3.11.2", "3.13.5"])
def test_every_lock_file_can_be_read_for_debian_12_and_13(kind: str, python: str) -> None:
    environment = ENVIRONMENT | {
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "implementation_version": python,
    }
    names = [
        line.partition("==")[0]
        for line in release.pinned((REPOSITORY / f"locks/{kind}.txt").read_text(), environment)
    ]
    assert names
    assert len(names) == len(set(names))


def test_the_newest_platform_comes_first_and_the_oldest_is_there() -> None:
    tags = release.platform_tags("x86_64", "2.36")
    assert tags[0] == "manylinux_2_36_x86_64"
    assert {"manylinux2014_x86_64", "manylinux_2_17_x86_64"} <= set(tags)
    assert release.platform_tags("aarch64", "2.41")[-1] == "manylinux2014_aarch64"
    with pytest.raises(ValueError, match="glibc 3"):
        release.platform_tags("x86_64", "3.0")


def test_the_same_content_is_the_same_release(project: Path, tmp_path: Path) -> None:
    twin = tmp_path / "elsewhere" / "checkout"
    shutil.copytree(project, twin)
    assert release.release_version(project) == release.release_version(twin)


@pytest.mark.parametrize(
    "changed",
    ["app/orbitbot/cli.py", "templates/new.txt", "locks/bot.txt", "locks/bootstrap.txt", "pyproject.toml"],
)
def test_other_content_is_another_release(project: Path, changed: str) -> None:
    before = release.release_version(project)
    with (project / changed).open("a") as file:
        file.write("\n# changed\n")
    assert release.release_version(project) != before


@pytest.mark.parametrize(
    "changed", ["locks/control.txt", "docs/new.md", "app/orbitbot/__pycache__/cli.cpython-311.pyc"]
)
def test_what_no_host_gets_makes_no_release(project: Path, changed: str) -> None:
    before = release.release_version(project)
    (project / changed).parent.mkdir(exist_ok=True)
    with (project / changed).open("a") as file:
        file.write("\n# changed\n")
    assert release.release_version(project) == before


def test_a_checkout_without_git_is_built_all_the_same(project: Path) -> None:
    assert release.commit_of(project) == "unknown"


def test_a_checkout_that_changes_meanwhile_is_not_built(project: Path, tmp_path: Path) -> None:
    build = release.Build(project, tmp_path / "cache", "0.1.0+000000000000", "unknown", this_machine())
    with pytest.raises(Exception, match="changed while"):
        build._own_wheel()


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "new", "old", "oldest")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    release.remove_oldest(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"newest", "new"}


@pytest.mark.integration
def test_a_bots_archive_installs_without_network(project: Path, tmp_path: Path) -> None:
    """Build it, unpack it, make the environment as the role does, run the command."""
    version = release.release_version(project)
    build = release.Build(project, tmp_path / "cache", version, "unknown", this_machine())
    archive = build.archive("bot")
    assert build.built
    assert tmp_path / "cache" / "releases" / version == archive.parent
    again = release.Build(project, tmp_path / "cache", version, "unknown", this_machine())
    assert (again.archive("bot"), again.built) == (archive, False)

    unpacked = tmp_path / "unpacked"
    with tarfile.open(archive) as file:
        assert {member.uname for member in file} == {"root"}
        file.extractall(unpacked, filter="data")
    manifest = json.loads((unpacked / "MANIFEST.json").read_text())
    assert manifest["version"] == version
    assert f"orbitbot=={version}" in manifest["requirements"]

    uv, environment = str(unpacked / "bin/uv"), tmp_path / "venv"
    offline = ["--quiet", "--no-config", "--offline"]
    subprocess.run([uv, "venv", *offline, environment], check=True)
    install = [
        *(uv, "pip", "install", *offline, "--no-cache", "--no-index", "--require-hashes", "--reinstall"),
        *(f"--find-links={unpacked}/wheelhouse", f"--python={environment}/bin/python"),
        f"--requirement={unpacked}/requirements.txt",
    ]
    subprocess.run(install, check=True)
    told = subprocess.run(
        [environment / "bin/orbitbot", "--version"], check=True, capture_output=True, text=True
    )
    assert told.stdout == f"orbitbot {version}\n"

    wheel = next((unpacked / "wheelhouse").glob("msgspec-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    refused = subprocess.run(install, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "Hash mismatch" in refused.stderr
