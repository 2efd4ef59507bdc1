"""Filters over client ids. Every name comes from `orbitbot.foundation.names`, the one place that makes it."""

from collections.abc import Callable
from typing import Any, TypeVar

from ansible.errors import AnsibleFilterError

from orbitbot.foundation import names
from orbitbot.foundation.errors import InvalidInput

T = TypeVar("T")


def _reporting(make: Callable[..., T]) -> Callable[..., T]:
    """`make`, with its error in a form that Ansible prints without a traceback."""

    def call(client_id: Any, *arguments: str) -> T:
        try:
            return make(str(client_id), *arguments)
        except InvalidInput as error:
            raise AnsibleFilterError(error.detail) from error

    return call


def client_id_problem(value: Any) -> str:
    """What is wrong with `value` as a client id; empty when nothing is."""
    try:
        names.check_client_id(str(value))
    except InvalidInput as error:
        return error.detail
    return ""


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {
            "orbitbot_client_id_problem": client_id_problem,
            "orbitbot_system_user": _reporting(names.system_user),
            "orbitbot_supervisor_program": _reporting(names.supervisor_program),
            "orbitbot_supervisor_file": _reporting(names.supervisor_file),
            "orbitbot_state_directory": _reporting(names.state_directory),
            "orbitbot_settings_file": _reporting(names.settings_file),
            "orbitbot_log_file": _reporting(names.log_file),
        }
