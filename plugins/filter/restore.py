"""Filters of playbooks/restore.yml: what is wrong with what was asked for, in words, or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

_ZONE: Final = re.compile(r"\s*([+-]\d\d)(:?\d\d)?$")
SESSIONS: Final = ("restore", "pair")
_SHOWN: Final = 20  # turns in flight of one client that are named


def restore_problem(to: Any, lost_host: str) -> str:
    """What is wrong with the moment to restore; none is given where the bots of a lost host are restored."""
    if lost_host:
        return "to: is for the database, lost_host for bots; give one of them" if to else ""
    if not to:
        return (
            "to: is needed; allowed: latest, dump, or a time such as '2026-11-22 10:00' (UTC); "
            "or lost_host for the bots of a host that is gone"
        )
    if to in ("latest", "dump"):
        return ""
    text = _ZONE.sub("", str(to)).removesuffix("Z")
    try:
        datetime.fromisoformat(text)
    except ValueError:
        text = ""
    if not re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", text):
        return (
            f"to: {str(to)!r} is not a moment; allowed: latest, dump, or a time such as "
            "'2026-11-22 10:00' (UTC)"
        )
    return ""


def lost_host_problem(lost_host: str, host: str, dead: Any, bots: Sequence[str]) -> str:
    """What is wrong with moving the bots of a lost host; two bots of one client must never run."""
    others = [each for each in bots if each != lost_host]
    if str(dead).lower() not in ("yes", "true"):
        return (
            "old_host_is_dead: must be yes: a bot that still runs there and one that is restored would "
            "end each other's session; make sure that the host never comes back"
        )
    if host not in others:
        return f"host: {host!r} cannot take the bots of {lost_host}; allowed: {', '.join(others) or 'none'}"
    return ""


def session_problem(value: Any) -> str:
    """What is wrong with what is to be done with WhatsApp's sessions."""
    if value in SESSIONS:
        return ""
    return f"session: {str(value)!r} is not allowed; allowed: {', '.join(SESSIONS)}"


def restored_lines(
    clients: Sequence[str],
    states: Mapping[str, str],
    copied_at: Mapping[str, float],
    turns: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What restore.yml says of the bots of a lost host: each with its state, and what was in flight.

    Args:
        states: client → how its bot is now.
        copied_at: client → Unix time of the copy of its state; one without had none in the backup.
        turns: rows of turns whose end the ledger does not know (`client_id`, `id`, `state`, `received`).
    """
    lines = []
    for client in clients:
        at = datetime.fromtimestamp(float(copied_at.get(client, 0)), UTC)
        origin = (
            f"as it was at {at:%Y-%m-%d %H:%M} UTC" if client in copied_at else "with nothing from a backup"
        )
        own = [turn for turn in turns if turn["client_id"] == client]
        lines.append(f"  {client}: {states.get(client, 'unknown')}, {origin}, {len(own)} in flight")
        lines += [
            f"    {turn['id']}: {turn['state']}, received {turn['received']} UTC" for turn in own[:_SHOWN]
        ]
    return lines


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {
            "orbitbot_lost_host_problem": lost_host_problem,
            "orbitbot_restore_problem": restore_problem,
            "orbitbot_restored_lines": restored_lines,
            "orbitbot_session_problem": session_problem,
        }
