"""Renders the roles' templates as a run does: with Ansible's own Templar, this inventory and these plugins.

Variables have the precedence that they have in a run: defaults, inventory, role vars. What only a run can
know (facts, what other tasks registered, arguments of an include) is supplied by the caller. An undefined
variable is an error.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template

from tests.ansible.conftest import REPOSITORY, load_plugin

ROLES = REPOSITORY / "roles"
INVENTORY = REPOSITORY / "inventory/local"


def trusted(value: Any) -> Any:
    """`value` with every text in it marked as a template, as a playbook's own text is."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [trusted(each) for each in value]
    return value


def load(path: Path) -> Any:
    """A YAML file's content as templates; nothing if the file is not there."""
    return trusted(yaml.safe_load(path.read_text("utf-8")) or {}) if path.exists() else {}


@cache
def _inventory() -> tuple[DataLoader, InventoryManager]:
    filter_loader.add_directory(str(REPOSITORY / "plugins/filter"))
    loader = DataLoader()
    return loader, InventoryManager(loader=loader, sources=[str(INVENTORY / "hosts.yml")])


@cache
def _secrets() -> dict[str, str]:
    """Secrets as the first run generates them, instead of this deployment's own."""
    made: dict[str, str] = load_plugin("plugins/action/generate_secrets.py").missing_secrets(())
    return made


def inventory_variables() -> dict[str, Any]:
    """The inventory's variables of the only host, without the vault's."""
    _, inventory = _inventory()
    (host,) = inventory.get_hosts()
    groups = sorted({group.name for group in host.get_groups()} - {"all"})
    variables: dict[str, Any] = {}
    for folder in ("all", *groups):
        for path in sorted((INVENTORY / "group_vars" / folder).glob("*.yml")):
            if path.name != "vault.yml":
                variables |= load(path)
    return variables | {
        "inventory_hostname": host.name,
        "group_names": groups,
        "playbook_dir": str(REPOSITORY / "playbooks"),
        "ansible_managed": "Managed by Ansible",
    }


def templar(role: str, supplied: dict[str, Any]) -> Templar:
    """A Templar that knows what the templates and variables of `role` may use."""
    loader, _ = _inventory()
    variables = (
        load(ROLES / role / "defaults/main.yml")
        | inventory_variables()
        | _secrets()
        | load(ROLES / role / "vars/main.yml")
        | trusted(supplied)
    )
    return Templar(loader=loader, variables=variables)


def service_arguments(role: str) -> dict[str, Any]:
    """What `role` (ai, gateway, speech) hands to the role `service`, templated with its own variables."""
    tasks = load(ROLES / role / "tasks/main.yml")
    (include,) = [
        task for task in tasks if task.get("ansible.builtin.include_role", {}).get("name") == "service"
    ]
    arguments: dict[str, Any] = templar(role, {}).template(include["vars"])
    return arguments


def render(role: str, name: str, **supplied: Any) -> str:
    """The text of `roles/ROLE/templates/NAME`."""
    text = (ROLES / role / "templates" / name).read_text("utf-8")
    return str(templar(role, supplied).template(trust_as_template(text)))
