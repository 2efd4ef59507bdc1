"""Action `check_inventory`: what an inventory has wrong, all of it at once, before any host is touched.

It looks and changes nothing. These are complaints, each with the file or the hosts that it is about:

* a group that is needed has no host;
* a file of variables belongs to no group or host of the inventory (nobody would ever read it);
* a variable is unknown: no role declares it in `meta/argument_specs.yml`, and it is none of Ansible's own
  (`ansible_*`). A misspelt name would otherwise leave the value that was meant as it is, silently;
* a variable of a role that a host gets is missing, of the wrong type, or not one of those allowed;
* a value names a variable or a secret that does not exist;
* `ansible_host` is made from `inventory_hostname`, which is another host's name in a delegated task.

Ansible checks a role's parameters when the role starts, which is after the roles before it have done their
work. Secrets that the first run has yet to generate count as given.

Arguments:
    inventory: the inventory's directory.
    roles: the directory of the roles.
    groups: the groups that need a host.
    checks: group → what its hosts get: roles, or `role/entry_point`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.template import Templar

ANSIBLES_OWN = "ansible_"
GENERATED = re.compile(r"'(vault_\w+)' is undefined")  # how an error names a secret that is not there


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"inventory", "roles", "groups", "checks"})
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one line for each complaint."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = self._task.args
        inventory, roles = Path(arguments["inventory"]), Path(arguments["roles"])
        groups: Mapping[str, list[str]] = variables["groups"]
        known = declared_names(roles)
        complaints = [f"group {name} has no host" for name in arguments["groups"] if not groups.get(name)]
        for path in variable_files(inventory):
            where = path.relative_to(inventory)
            complaints += stray_file(where, groups)
            content = self._loader.load_from_file(str(path), cache="none")  # the cache is for trusted texts
            complaints += file_complaints(where, content or {}, known)
        complaints += self._host_complaints(variables, roles, arguments["checks"], known)
        if complaints:
            raise AnsibleActionFail("\n".join(["", *complaints]))
        return {"changed": False}

    def _host_complaints(
        self, variables: Mapping[str, Any], roles: Path, checks: Mapping[str, list[str]], known: set[str]
    ) -> list[str]:
        """What is wrong with the parameters of each host; hosts with the same complaint share a line."""
        found: dict[str, list[str]] = {}
        for host in variables["groups"]["all"]:
            own = variables["hostvars"].raw_get(host) | {"hostvars": variables["hostvars"]}
            templar = Templar(loader=self._loader, variables=own)
            wanted = [check for group in ["all", *own["group_names"]] for check in checks.get(group, [])]
            for check in dict.fromkeys(wanted):
                role, _, entry = check.partition("/")
                options = read_options(roles / role, entry or "main")
                for complaint in parameter_complaints(options, own, templar, known):
                    found.setdefault(f"role {role}: {complaint}", []).append(host)
        return [f"{', '.join(hosts)}: {complaint}" for complaint, hosts in found.items()]


def parameter_complaints(
    options: dict[str, Any], variables: Mapping[str, Any], templar: Any, known: Collection[str]
) -> Iterator[str]:
    """What is missing or wrong among a host's variables, compared with a role's options.

    Args:
        options: as `read_options` returns them.
        variables: the host's, not templated.
        templar: templates them.
        known: every name that a role declares.
    """
    given = {}
    for name in sorted(options.keys() & variables.keys()):
        try:
            given[name] = templar.template(variables[name])
        except AnsibleError as error:
            options = {key: value for key, value in options.items() if key != name}
            secret = GENERATED.search(str(error))
            if secret is None or secret[1] not in known:
                yield f"{name}: {' '.join(str(error).split())}{_hint(secret, known)}"
    yield from ArgumentSpecValidator(options).validate(given).error_messages


def _hint(secret: re.Match[str] | None, known: Collection[str]) -> str:
    if secret is None:
        return ""
    near = difflib.get_close_matches(secret[1], known, n=1)
    return f" (no such secret is generated{f'; did you mean {near[0]}?' if near else ''})"


def declared_names(roles: Path) -> set[str]:
    """The parameters that the roles declare."""
    names: set[str] = set()
    for path in roles.glob("*/meta/argument_specs.yml"):
        for entry in read_specs(path.parents[1]).values():
            names |= set(entry.get("options", {}))
    return names


def variable_files(inventory: Path) -> Iterator[Path]:
    """The files of group and host variables, sorted."""
    for folder in ("group_vars", "host_vars"):
        yield from sorted(path for path in (inventory / folder).rglob("*.y*ml") if path.is_file())


def stray_file(path: Path, groups: Mapping[str, list[str]]) -> Iterator[str]:
    """A complaint if the file `path` (of the inventory) is of a group or host that does not exist."""
    folder, owner = path.parts[0], Path(path.parts[1]).stem if len(path.parts) == 2 else path.parts[1]  # noqa: PLR2004  (a file right in the folder)
    kind, names = ("host", groups["all"]) if folder == "host_vars" else ("group", list(groups))
    if owner not in names:
        near = difflib.get_close_matches(owner, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(names))}"
        yield f"{path}: there is no {kind} {owner}{hint}"


def file_complaints(path: Path, content: Any, known: Collection[str]) -> Iterator[str]:
    """What is wrong with one file of variables, whatever host it is for."""
    if not isinstance(content, dict):
        yield f"{path}: variables are needed, as `name: value`"
        return
    yield from unknown_names(path, content, known)
    if "inventory_hostname" in str(content.get("ansible_host", "")):
        yield (
            f"{path}: ansible_host is made from inventory_hostname, which a delegated task fills with "
            "another host's name: write the address itself"
        )


def unknown_names(path: Path, names: Iterable[str], known: Collection[str]) -> Iterator[str]:
    """A complaint for each of `names` that no role declares, with the nearest name that one does."""
    for name in names:
        if name in known or name.startswith(ANSIBLES_OWN):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; no role has a variable of a similar name"
        yield f"{path}: unknown variable {name}{hint}"


@cache
def read_specs(role: Path) -> dict[str, Any]:
    """The entry points of a role, from its `meta/argument_specs.yml`."""
    text = (role / "meta" / "argument_specs.yml").read_text("utf-8")
    specs: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)["argument_specs"]
    return specs


@cache
def read_options(role: Path, entry: str) -> dict[str, Any]:
    """The options of one entry point of a role; defaults are not needed to check what is given."""
    specs = read_specs(role)
    return {name: _without_default(option) for name, option in specs[entry].get("options", {}).items()}


def _without_default(option: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in option.items() if key not in ("default", "description")}
    if "options" in kept:
        kept["options"] = {name: _without_default(each) for name, each in kept["options"].items()}
    return kept
