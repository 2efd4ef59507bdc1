"""Molecule's scenarios, as far as they can be judged without a host."""

import importlib.util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
SCENARIOS = sorted(file.parent for file in (ROOT / "molecule").glob("*/molecule.yml"))


def load(scenario: Path) -> dict[str, dict[str, object]]:
    loaded: dict[str, dict[str, object]] = yaml.safe_load((scenario / "molecule.yml").read_text())
    return loaded


def test_there_are_scenarios() -> None:
    assert "default" in {scenario.name for scenario in SCENARIOS}


def test_the_folder_does_not_hide_molecule_itself() -> None:
    found = importlib.util.find_spec("molecule")
    assert found is not None
    assert found.origin is not None, "the repository's molecule/ is taken for the package"
    assert "site-packages" in found.origin


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_playbook_of_a_scenario_exists(scenario: Path) -> None:
    playbooks = load(scenario)["provisioner"]["playbooks"]
    assert isinstance(playbooks, dict)
    assert playbooks
    assert [path for path in playbooks.values() if not (scenario / path).is_file()] == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_scenario_ends_by_removing_its_hosts(scenario: Path) -> None:
    sequence = load(scenario)["scenario"]["test_sequence"]
    assert isinstance(sequence, list)
    assert sequence[-1] == "destroy"
