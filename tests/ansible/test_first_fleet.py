"""docs/operations/first-fleet.md, as far as it goes without hosts: the inventory that it makes is valid.

`tests/fleet` follows it to the end.
"""

import re
from pathlib import Path

import yaml

from tests.ansible.running import playbook
from tests.support import first_fleet, runbook


def test_the_inventory_that_the_page_makes_is_valid(tmp_path: Path) -> None:
    checkout = first_fleet.check_out(tmp_path)
    commands = list(first_fleet.commands({"Make the inventory yours": {}}))
    assert len(commands) == 8
    for command in commands:
        runbook.run(command, checkout=checkout)
    fleet = checkout / "inventory/fleet"
    example = checkout / "inventory/example"
    assert sorted(path.name for path in fleet.iterdir()) == ["group_vars", "host_vars", "hosts.yml"]
    for path in example.glob("host_vars/*/*.yml"):
        made = fleet / path.relative_to(example)
        assert yaml.safe_load(made.read_text()) == yaml.safe_load(path.read_text())
    mesh = "group_vars/all/mesh.yml"
    assert yaml.safe_load((fleet / mesh).read_text()) == yaml.safe_load((example / mesh).read_text())
    assert "orbitbot_domain: fleet.example.com" in (fleet / "group_vars/all/orbitbot.yml").read_text()
    done = playbook("site", "-e", "lock_wait=none", inventory=fleet)
    assert "lock_wait: 'none' is not allowed" in done.output


def test_what_the_page_names_is_there() -> None:
    text = first_fleet.PAGE.read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (first_fleet.PAGE.parent / link).exists(), link
    for path in re.findall(r"\b((?:templates|playbooks|inventory/example)/[\w./-]+\.\w+)", text):
        assert (runbook.REPOSITORY / path).exists(), path
