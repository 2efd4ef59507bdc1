"""Filters about clients: ids and the names derived from them, what is registered, how they are configured.

Every name comes from `orbitbot.foundation.names`, the one place that makes it. A `…_problem` filter returns
what is wrong, in words, or nothing: an `assert` can then refuse a value before anything is changed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from ansible.errors import AnsibleFilterError

from orbitbot.contracts.configure import ClientSettings, Configure
from orbitbot.foundation import names
from orbitbot.foundation.errors import InvalidInput

T = TypeVar("T")

# That a bot of this release can run, a new client's default first; the API knows further ones.
CHANNELS: Final = ("neonize", "simulator")
_CONFIGURATION_KEYS: Final = ("personality", "settings")
_CLIENT_KEYS: Final = ("id", "channel", "name", "language", "timezone", "host")  # of a file of many


def _reporting(make: Callable[..., T]) -> Callable[..., T]:
    """`make`, with its error in a form that Ansible prints without a traceback."""

    def call(client_id: Any, *arguments: str) -> T:
        try:
            return make(str(client_id), *(str(each) for each in arguments))
        except InvalidInput as error:
            raise AnsibleFilterError(error.detail) from error

    return call


def client_id_problem(value: Any) -> str:
    """What is wrong with a client id."""
    try:
        names.check_client_id(str(value))
    except InvalidInput as error:
        return error.detail
    return ""


def channel_problem(value: Any) -> str:
    """What is wrong with a channel; an empty one stands for the default."""
    if not value or value in CHANNELS:
        return ""
    return (
        f"channel: {str(value)!r} is not a channel that this release can run; allowed: {', '.join(CHANNELS)}"
    )


def host_problem(value: str, hosts: Sequence[str]) -> str:
    """What is wrong with the host that a bot is to run on, among the inventory's bot hosts.

    Without a value the one with the most room is chosen.
    """
    if value in hosts or (not value and hosts):
        return ""
    return f"host: {value!r} is not a bot host; allowed: {', '.join(hosts)}"


def bot_line(client_id: str, host: str, channel: str, state: str) -> str:
    """The last line of add-client: what runs where, and how to pair."""
    line = f"{client_id} runs on {host}, channel {channel}, {state}."
    if channel == "simulator":
        say = f'/opt/orbitbot/current/venv/bot/bin/orbitbot say {client_id} "Bom dia"'
        return f"{line} There is nothing to pair; speak to it on {host}: {say}"
    return line


def yes_no_problem(value: Any, name: str) -> str:
    """What is wrong with the confirmation `name`, which is `yes` or `no`."""
    allowed = (True, False, "yes", "no", "true", "false")
    return "" if value in allowed else f"{name}: {str(value)!r} is neither yes nor no"


def provider_key_problem(value: str) -> str:
    """What is wrong with a provider's key, without telling it."""
    if not value:
        return "the key is empty (without a terminal to ask at, give -e key_file=PATH)"
    if not value.isascii() or any(each.isspace() for each in value):
        return "the key is not one word of ASCII characters"
    return ""


def registration(
    known: Mapping[str, Any], client_id: str, *, channel: str, name: str, language: str, timezone: str
) -> dict[str, str]:
    """The body of `PUT /api/clients/{clientId}`: what is given, else what is known, else the default.

    Args:
        known: the client as the API tells it; without a member `id` when it knows none.
    """
    given = {"channel": channel, "name": name, "language": language, "timezone": timezone}
    default = {
        "channel": CHANNELS[0],
        "name": client_id,
        "language": "pt",
        "timezone": "America/Sao_Paulo",
    }
    present = known if known.get("id") else {}
    return {field: given[field] or str(present.get(field) or default[field]) for field in given}


def settings_file_problem(path: str) -> str:
    """What is wrong with a client's settings file (TOML); an empty path stands for none."""
    try:
        _read_configuration(path)
    except ValueError as error:
        return f"settings_file: {path}: {error}"
    return ""


def configuration(path: str) -> dict[str, Any]:
    """The body of `POST /api/clients/{clientId}/configure` from a TOML file; empty for an empty path.

    The file has the keys of the API: a text `personality`, and a table `settings`.
    """
    try:
        return _read_configuration(path)
    except ValueError as error:
        raise AnsibleFilterError(f"settings_file: {path}: {error}") from error


def clients_file_problem(path: str, hosts: Sequence[str], client: str = "") -> str:
    """What is wrong with a file of many clients; an empty path stands for none."""
    if path and client:
        return "clients_file: give either client or clients_file"
    try:
        clients = _read_clients(path)
    except ValueError as error:
        return f"clients_file: {path}: {error}"
    for number, each in enumerate(clients, start=1):
        problem = host_problem(each.get("host", ""), hosts) or channel_problem(each.get("channel", ""))
        if problem:
            return f"clients_file: {path}: client {number} ({each['id']}): {problem}"
    return ""


def clients_of_file(path: str) -> list[dict[str, Any]]:
    """The clients of a TOML file, as `POST /api/fleet/placements` takes them.

    The file has tables `[[clients]]` with `id` and, where wanted, `channel`, `name`, `language`, `timezone`
    and `host`.
    """
    try:
        return _read_clients(path)
    except ValueError as error:
        raise AnsibleFilterError(f"clients_file: {path}: {error}") from error


def _read_clients(path: str) -> list[dict[str, Any]]:
    """See `clients_of_file`.

    Raises:
        ValueError: says what is wrong.
    """
    if not path:
        return []
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ValueError(error.strerror) from error
    clients = content.pop("clients", [])
    if content or not isinstance(clients, list) or not clients:
        raise ValueError("it has to hold tables [[clients]], one or more, and nothing else")
    seen: set[str] = set()
    for number, each in enumerate(clients, start=1):
        unknown = sorted(each.keys() - set(_CLIENT_KEYS)) if isinstance(each, dict) else ["(no table)"]
        if unknown:
            raise ValueError(
                f"client {number}: unknown key {unknown[0]!r}; allowed: {', '.join(_CLIENT_KEYS)}"
            )
        wrong = [key for key, value in each.items() if not isinstance(value, str)]
        problem = f"{wrong[0]}: is no text" if wrong else client_id_problem(each.get("id", ""))
        if problem or each["id"] in seen:
            raise ValueError(f"client {number}: {problem or repr(each['id']) + ' is there twice'}")
        seen.add(each["id"])
    return clients


def _read_configuration(path: str) -> dict[str, Any]:
    """See `configuration`.

    Raises:
        ValueError: says what is wrong (TOML's and msgspec's own errors are ValueErrors).
    """
    if not path:
        return {}
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ValueError(error.strerror) from error
    unknown = sorted(content.keys() - set(_CONFIGURATION_KEYS))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; allowed: {', '.join(_CONFIGURATION_KEYS)}")
    msgspec.convert(content.get("settings", {}), ClientSettings)
    msgspec.convert({"personality": content.get("personality")}, Configure)
    return content


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {
            "orbitbot_bot_line": bot_line,
            "orbitbot_channel_problem": channel_problem,
            "orbitbot_client_id_problem": client_id_problem,
            "orbitbot_clients_file_problem": clients_file_problem,
            "orbitbot_clients_of_file": clients_of_file,
            "orbitbot_configuration": configuration,
            "orbitbot_host_problem": host_problem,
            "orbitbot_log_file": _reporting(names.log_file),
            "orbitbot_provider_key_problem": provider_key_problem,
            "orbitbot_registration": registration,
            "orbitbot_settings_file": _reporting(names.settings_file),
            "orbitbot_settings_file_problem": settings_file_problem,
            "orbitbot_state_directory": _reporting(names.state_directory),
            "orbitbot_supervisor_file": _reporting(names.supervisor_file),
            "orbitbot_supervisor_program": _reporting(names.supervisor_program),
            "orbitbot_system_user": _reporting(names.system_user),
            "orbitbot_yes_no_problem": yes_no_problem,
        }
