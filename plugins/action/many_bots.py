"""Action `many_bots`: writes the files of many bots as the role `client` would, and runs the module `bots`.

Arguments:
    clients: as `POST /api/fleet/placements` answers: id, generation, channel.
    credentials: client id → new credential, for those that get one.
    templates: the role's folder of templates.
    state: `known` or `started`, see the module.

Every name, path and text comes from the role's own variables, evaluated for each client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ansible.plugins.action import ActionBase
from ansible.template import Templar, trust_as_template

NAMES: Final = {
    "user": "__client_user",
    "program": "__client_program",
    "program_file": "__client_program_file",
    "state_directory": "__client_state_directory",
    "settings_file": "__client_settings_file",
    "credential_file": "__client_credential_file",
}
TEXTS: Final = {"settings_text": "settings.toml.j2", "program_text": "program.conf.j2"}


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"clients", "credentials", "templates", "state"})
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the files and have the module do the rest."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        known = arguments.get("state") == "known"
        given = arguments.get("credentials", {})
        bots = []
        for client in arguments["clients"]:
            templar = Templar(loader=self._loader, variables=variables_of(client, task_vars or {}))
            bot = {"client_id": client["id"]}
            for field, name in NAMES.items():
                bot[field] = templar.template(trust_as_template("{{ " + name + " }}"))
            if not known:
                for field, name in TEXTS.items():
                    path = f"{arguments['templates']}/{name}"
                    lookup = "{{ lookup('ansible.builtin.template', '" + path + "') }}"
                    bot[field] = templar.template(trust_as_template(lookup))
                bot["credential_id"] = given.get(client["id"], {}).get("credentialId", "")
            bots.append(bot)
        result: dict[str, Any] = self._execute_module(
            module_name="bots",
            module_args={
                "bots": bots,
                "secrets": {client: each["secret"] for client, each in given.items()},
                "state": arguments.get("state", "started"),
            },
            task_vars=task_vars,
        )
        result.pop("invocation", None)
        return result


def variables_of(client: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """A host's variables, as the role has them for one client."""
    return {
        **common,
        "client_id": client["id"],
        "client_channel": client["channel"],
        "__client_known": {"json": {}},
        "__client_lease": {"json": {"generation": client["generation"]}},
    }
