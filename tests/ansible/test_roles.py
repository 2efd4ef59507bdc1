"""Every role has one anatomy: a README, a documented interface, and defaults that are that interface."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.conftest import REPOSITORY

ROLES = sorted(
    path
    for folder in ("roles", "molecule/roles")
    for path in (REPOSITORY / folder).iterdir()
    if path.is_dir()
)
COMMENTED_OUT = re.compile(r"^# ([a-z][a-z0-9_]*):", re.MULTILINE)

every_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def specs(role: Path) -> dict[str, Any]:
    """The role's entry points."""
    found: dict[str, Any] = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return found


def options(role: Path) -> dict[str, Any]:
    """The options of all entry points."""
    return {
        name: option for entry in specs(role).values() for name, option in entry.get("options", {}).items()
    }


def own_options(role: Path) -> dict[str, Any]:
    """The options that begin with the role's name; others are globals that an entry point checks."""
    return {name: option for name, option in options(role).items() if name.startswith(f"{role.name}_")}


def test_there_are_roles() -> None:
    assert len(ROLES) > 5


@every_role
def test_a_role_has_its_files(role: Path) -> None:
    for name in (
        "README.md",
        "defaults/main.yml",
        "meta/main.yml",
        "meta/argument_specs.yml",
        "tasks/main.yml",
    ):
        assert (role / name).is_file(), f"{role.name} has no {name}"


@every_role
def test_the_readme_names_the_role_and_every_required_option(role: Path) -> None:
    text = (role / "README.md").read_text()
    assert text.startswith(f"# {role.name}\n")
    missing = [
        name for name, option in own_options(role).items() if option.get("required") and name not in text
    ]
    assert missing == []


@every_role
def test_the_defaults_are_the_whole_interface(role: Path) -> None:
    """What has a default stands in defaults/main.yml, with it; what has none stands there as a comment."""
    text = (role / "defaults/main.yml").read_text()
    defaults = yaml.safe_load(text) or {}
    documented = own_options(role)
    assert defaults.keys() == {name for name, option in documented.items() if "default" in option}
    assert {name: documented[name]["default"] for name in defaults} == defaults
    without = {name for name, option in documented.items() if "default" not in option}
    assert without == set(COMMENTED_OUT.findall(text)) & documented.keys()


@every_role
def test_every_option_is_typed_and_described(role: Path) -> None:
    def check(name: str, option: dict[str, Any]) -> None:
        assert "type" in option, name
        assert option.get("description"), name
        assert option["type"] != "list" or "elements" in option, name
        for inner, each in option.get("options", {}).items():
            check(f"{name}.{inner}", each)

    for entry in specs(role).values():
        assert entry["short_description"]
    for name, option in options(role).items():
        check(name, option)


@every_role
def test_a_secret_is_declared_as_one(role: Path) -> None:
    """A default or value of such an option would otherwise be printed with a complaint about it."""
    for name, option in own_options(role).items():
        if re.search(r"(password|token|secret|signing_key|ca_key)$", name):
            assert option.get("no_log") is True, name


@every_role
def test_a_role_names_no_inventory_group_and_no_other_roles_files(role: Path) -> None:
    others = [each.name for each in ROLES if each != role]
    for path in [*role.glob("tasks/*.yml"), *role.glob("templates/*"), *role.glob("vars/*.yml")]:
        text = path.read_text()
        assert "groups[" not in text, path
        assert "group_names" not in text, path
        assert not [other for other in others if f"roles/{other}/" in text], path


@every_role
def test_a_role_hides_no_failure(role: Path) -> None:
    for path in role.rglob("*.yml"):
        for forbidden in ("ignore_errors", "|| true", "failed_when: false", "ansible.builtin.shell"):
            assert forbidden not in path.read_text(), path
