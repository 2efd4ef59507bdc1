"""Playbooks, collections and lint: what can be said of them without a host."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.conftest import REPOSITORY

PLAYBOOKS = sorted((REPOSITORY / "playbooks").glob("*.yml"))
BINARIES = Path(sys.executable).parent

every_playbook = pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.name)


def ansible(*command: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's commands in the repository."""
    return subprocess.run(
        [str(BINARIES / command[0]), *command[1:]],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def header(playbook: Path) -> str:
    """The comment that a playbook opens with."""
    lines = playbook.read_text().splitlines()
    assert lines[0] == "---"
    comment = []
    for line in lines[1:]:
        if not line.startswith("#"):
            break
        comment.append(line)
    return "\n".join(comment)


def test_every_playbook_passes_the_syntax_check() -> None:
    done = ansible("ansible-playbook", "--syntax-check", *map(str, PLAYBOOKS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_ansible_lint_finds_nothing_in_its_production_profile() -> None:
    done = ansible(
        "ansible-lint", "--offline", "--nocolor", "playbooks", "roles", "inventory", "requirements.yml"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Profile 'production' was required, and it passed" in done.stdout + done.stderr
    rules = yaml.safe_load((REPOSITORY / ".ansible-lint").read_text())
    assert rules["profile"] == "production"
    assert not rules.keys() & {"skip_list", "warn_list", "exclude_paths", "enable_list"}


@every_playbook
def test_a_playbook_opens_with_what_it_does_and_how_to_undo_it(playbook: Path) -> None:
    text = header(playbook)
    assert f"ansible-playbook -i inventory/local playbooks/{playbook.name}" in text
    for part in ("Changes:", "Again:", "Undo:"):
        assert f"\n# {part} " in text


@every_playbook
def test_a_playbook_is_named_as_verb_noun(playbook: Path) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", playbook.stem)


@every_playbook
def test_the_first_play_checks_what_was_asked_for_on_the_controller(playbook: Path) -> None:
    first: dict[str, Any] = yaml.safe_load(playbook.read_text())[0]
    assert first["hosts"] == "localhost"


@every_playbook
def test_a_playbook_hides_no_failure(playbook: Path) -> None:
    for forbidden in ("ignore_errors", "|| true", "failed_when: false", "ansible.builtin.shell"):
        assert forbidden not in playbook.read_text()


def test_the_collections_are_the_ones_that_ansible_bundles() -> None:
    wanted = yaml.safe_load((REPOSITORY / "requirements.yml").read_text())["collections"]
    (bundle,) = (BINARIES.parent / "lib").glob("python3*/site-packages/ansible_collections")
    for collection in wanted:
        namespace, name = collection["name"].split(".")
        manifest = bundle / namespace / name / "MANIFEST.json"
        bundled = yaml.safe_load(manifest.read_text())["collection_info"]["version"]
        assert (collection["name"], collection["version"]) == (collection["name"], bundled)


def test_every_collection_that_is_used_is_required() -> None:
    wanted = yaml.safe_load((REPOSITORY / "requirements.yml").read_text())["collections"]
    used = set()
    for path in [*PLAYBOOKS, *(REPOSITORY / "roles").rglob("tasks/*.yml")]:
        found = re.findall(
            r"^\s+((?!ansible\.builtin)[a-z_]+\.[a-z_]+)\.[a-z_]+:", path.read_text(), re.MULTILINE
        )
        used.update(found)
    assert used == {each["name"] for each in wanted}
