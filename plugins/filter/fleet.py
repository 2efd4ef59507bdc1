"""Filters about placing and moving bots: what is sent to the API, and what is said to people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_LIMITS: Final = {
    "bots": "client_host_bots",
    "botMib": "client_host_bot_mib",
    "spareMib": "client_host_spare_mib",
    "load": "client_host_load",
}
# Parameters that belong to one call of the role, and are no host's.
_OF_A_CALL: Final = frozenset({"client_id", "client_headroom", "client_view", "client_api_token"})
_REASON_LENGTH: Final = 900  # characters


def required_host_problem(value: str, name: str, hosts: Sequence[str]) -> str:
    """What is wrong with a bot host that has to be named."""
    if value in hosts:
        return ""
    what = f"{value!r} is not a bot host" if value else "give the host"
    return f"{name}: {what}; allowed: {', '.join(hosts)}"


def measured_host(known: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A host as `POST /api/fleet/placements` takes it: what was measured, and the limits of the inventory.

    Args:
        known: the host's variables, with what the module `bot_headroom` found.
    """
    limits = {field: known[variable] for field, variable in _LIMITS.items() if variable in known}
    return {"name": name, "measure": {**known["client_headroom"]["measure"], "limits": limits}}


def measured_hosts(hostvars: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the hosts that could be measured."""
    return [
        measured_host(hostvars[name], name)
        for name in names
        if "measure" in hostvars[name].get("client_headroom", {})
    ]


def host_with_state(hostvars: Mapping[str, Any], names: Sequence[str], client: str) -> str:
    """The measured host that keeps the state of a client that was removed; empty if none does."""
    having = [name for name in names if client in hostvars[name].get("client_headroom", {}).get("states", [])]
    return having[0] if len(having) == 1 else ""


def bot_parameters(known: Mapping[str, Any]) -> dict[str, Any]:
    """A host's own parameters of the role `client`."""
    return {
        name: value for name, value in known.items() if name.startswith("client_") and name not in _OF_A_CALL
    }


def reason(result: Mapping[str, Any]) -> str:
    """Why a task failed, in one line."""
    words = result.get("msg") or result.get("stderr") or "no reason was given"
    return " ".join(str(words).split())[:_REASON_LENGTH]


def move_line(
    client: str, begun: Mapping[str, Any], ended: Mapping[str, Any], copied: Mapping[str, Any]
) -> str:
    """The last line of a move."""
    if not ended:
        return f"{client} runs on {begun['toHost']}; there was nothing to move."
    if ended["stage"] == "failed":
        return f"{client} runs on {ended['toHost']} again: {ended['reason']}"
    line = f"{client} runs on {ended['toHost']}, generation {ended['generation']}"
    line += f"; silent for {ended['silentSeconds']:.1f} s"
    if copied.get("files"):
        line += f", {copied['files']} files ({copied['bytes'] / 2**20:.1f} MiB) copied and compared"
    if ended["withoutState"]:
        line += (
            f". What it had on {ended['fromHost']} is lost: link its phone again, playbooks/pair-client.yml"
        )
    return f"{line}."


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {
            "orbitbot_bot_parameters": bot_parameters,
            "orbitbot_host_with_state": host_with_state,
            "orbitbot_measured_host": measured_host,
            "orbitbot_measured_hosts": measured_hosts,
            "orbitbot_move_line": move_line,
            "orbitbot_reason": reason,
            "orbitbot_required_host_problem": required_host_problem,
        }
