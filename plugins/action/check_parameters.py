"""Action `check_parameters`: a host has valid parameters for each of its roles. It changes nothing.

Ansible checks a role's parameters when the role starts, which is after the roles before it have done their
work. This checks all of them at once, before anything is done. Where a parameter's value comes from
a secret that the first run has yet to generate, the parameter counts as given.

Arguments:
    checks: roles, or `role/entry_point`, whose `meta/argument_specs.yml` is checked.
    roles: the directory of the roles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

GENERATED = "vault_"  # what names of generated secrets start with


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"checks", "roles"})
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one line for each parameter that is missing or wrong."""
        super().run(tmp, task_vars)
        complaints: list[str] = []
        for check in self._task.args["checks"]:
            role, _, entry = check.partition("/")
            options = read_options(Path(self._task.args["roles"]) / role, entry or "main")
            complaints += self._complaints(role, options, task_vars or {})
        if complaints:
            raise AnsibleActionFail("; ".join(complaints))
        return {"changed": False}

    def _complaints(self, role: str, options: dict[str, Any], task_vars: dict[str, Any]) -> list[str]:
        given = {}
        missing: list[str] = []
        for name in options.keys() & task_vars.keys():
            try:
                given[name] = self._templar.template(task_vars[name])
            except AnsibleUndefinedVariable as error:
                if GENERATED not in str(error):
                    missing.append(f"role {role}: {name}: {error}")
                options = {key: value for key, value in options.items() if key != name}
        checked = ArgumentSpecValidator(options).validate(given)
        return [*missing, *(f"role {role}: {message}" for message in checked.error_messages)]


def read_options(role: Path, entry: str) -> dict[str, Any]:
    """The options of one entry point of a role; defaults are not needed to check what is given."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text("utf-8"))["argument_specs"]
    return {name: _without_default(option) for name, option in specs[entry].get("options", {}).items()}


def _without_default(option: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in option.items() if key not in ("default", "description")}
    if "options" in kept:
        kept["options"] = {name: _without_default(each) for name, each in kept["options"].items()}
    return kept
