"""Action `check_inventory`: no variable of the inventory is unknown. It looks and changes nothing.

Every name in `group_vars` and `host_vars` must be a parameter that some role declares (in any entry point
of its `meta/argument_specs.yml`) or one of Ansible's own (`ansible_*`). A misspelt name would otherwise
leave the value that was meant to be changed as it is, silently.

Arguments:
    inventory: the inventory's directory.
    roles: the directory of the roles.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

ANSIBLES_OWN = "ansible_"


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"inventory", "roles"})
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one line for each unknown variable."""
        super().run(tmp, task_vars)
        inventory, roles = Path(self._task.args["inventory"]), Path(self._task.args["roles"])
        known = declared_names(roles)
        complaints: list[str] = []
        for path in variable_files(inventory):
            names = self._loader.load_from_file(str(path)) or {}
            complaints += unknown_names(path.relative_to(inventory), names, known)
        if complaints:
            raise AnsibleActionFail("; ".join(complaints))
        return {"changed": False}


def declared_names(roles: Path) -> set[str]:
    """The parameters that the roles declare."""
    names: set[str] = set()
    for path in roles.glob("*/meta/argument_specs.yml"):
        specs = yaml.safe_load(path.read_text("utf-8"))["argument_specs"]
        for entry in specs.values():
            names |= set(entry.get("options", {}))
    return names


def variable_files(inventory: Path) -> Iterator[Path]:
    """The files of group and host variables, sorted."""
    for folder in ("group_vars", "host_vars"):
        yield from sorted(path for path in (inventory / folder).rglob("*.y*ml") if path.is_file())


def unknown_names(path: Path, names: Any, known: set[str]) -> Iterator[str]:
    """A complaint for each of `names` that no role declares, with the nearest name that one does."""
    for name in names:
        if name in known or name.startswith(ANSIBLES_OWN):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; no role has a variable of a similar name"
        yield f"{path}: unknown variable {name}{hint}"
