"""Filters of playbooks/restore.yml: what is wrong with what was asked for, in words, or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

_ZONE: Final = re.compile(r"\s*([+-]\d\d)(:?\d\d)?$")
SESSIONS: Final = ("restore", "pair")


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


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {
            "orbitbot_lost_host_problem": lost_host_problem,
            "orbitbot_restore_problem": restore_problem,
            "orbitbot_session_problem": session_problem,
        }
