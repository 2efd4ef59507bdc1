"""Playbooks, collections and lint: what can be said of them without a host."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.conftest import REPOSITORY

PLAYBOOKS = sorted((REPOSITORY / "playbooks").glob("*.yml"))
BINARIES = Path(sys.executable).parent

every_playbook = pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.name)


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


def test_lint_holds_the_production_profile_without_an_exception() -> None:
    """`make lint`, which is part of `make test`, runs ansible-lint and the syntax check over everything."""
    rules = yaml.safe_load((REPOSITORY / ".ansible-lint").read_text())
    assert rules["profile"] == "production"
    assert not rules.keys() & {"skip_list", "warn_list", "exclude_paths", "enable_list"}
    recipe = (REPOSITORY / "Makefile").read_text()
    assert re.search(r"^test:.* lint", recipe, re.MULTILINE)
    assert "ansible-lint --offline\n" in recipe
    assert "--syntax-check playbooks/*.yml\n" in recipe


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
def test_what_was_asked_for_is_checked_first_and_on_the_controller(playbook: Path) -> None:
    first: dict[str, Any] = yaml.safe_load(playbook.read_text())[0]
    assert first["hosts"] == "localhost" or "\n# Values:" not in header(playbook)


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
    assert used
    assert used <= {each["name"] for each in wanted}
