"""What is said about a number: the most urgent trouble, in one sentence of the client's language."""

from datetime import UTC, datetime
from typing import Any

import pytest

from orbitbot.clients.advice import advice, phone_warning, trouble
from orbitbot.clients.models import BotReport

NOW = datetime(2026, 11, 30, tzinfo=UTC)
DAY = 86_400.0


def report(**changes: Any) -> BotReport:
    values: dict[str, Any] = {
        "state": "connected", "reason": "", "release": "1", "seen_at": NOW, "silent_seconds": 5.0,
        "state_since": NOW, "until": None, "number": "5511900000001", "phone_seen_at": None,
        "phone_silent_seconds": None, "backlog": 0, "reconnects": 0, "new_chats": 0, "new_chats_limit": 10,
        "undelivered": 0,
    }  # fmt: skip
    return BotReport(**values | changes)


@pytest.mark.parametrize(
    ("changes", "name", "portuguese", "english"),
    [
        ({}, "", "Tudo bem", "All is well"),
        ({"silent_seconds": 61.0, "state": "banned"}, "silent", "sinal de vida", "sign of life"),
        ({"state": "banned", "new_chats": 10}, "banned", "bloqueou", "locked"),
        ({"state": "restricted"}, "restricted", "conversas novas", "no new chats"),
        ({"state": "logged_out"}, "logged_out", "de novo", "again"),
        ({"state": "waiting_for_pairing"}, "waiting_for_pairing", "conecte um", "pair it"),
        ({"state": "passkey_required"}, "passkey_required", "chave de acesso", "passkey"),
        ({"state": "client_outdated"}, "client_outdated", "atualize", "upgrade"),
        ({"phone_silent_seconds": 11 * DAY, "new_chats": 10}, "phone", "até 3.0 dias", "within 3.0 days"),
        ({"phone_silent_seconds": 15 * DAY}, "phone_late", "a qualquer momento", "at any moment"),
        ({"new_chats": 10, "reconnects": 99}, "new_chats", "até amanhã", "until tomorrow"),
        ({"reconnects": 20, "undelivered": 99}, "reconnects", "rede", "network"),
        ({"undelivered": 20}, "undelivered", "não saíram", "not left"),
        ({"new_chats_limit": 0, "new_chats": 3}, "", "Tudo bem", "All is well"),
    ],
)
def test_the_most_urgent_trouble_is_named(
    changes: dict[str, Any], name: str, portuguese: str, english: str
) -> None:
    bot = report(**changes)
    assert trouble(bot) == name
    assert portuguese in advice(bot, "pt-BR")
    assert english in advice(bot, "en")
    assert english in advice(bot, "de"), "English where there is no other"


def test_a_phone_is_warned_of_only_when_it_has_been_silent() -> None:
    assert phone_warning(report(phone_silent_seconds=9 * DAY), "en") == ""
    assert phone_warning(report(number="", phone_silent_seconds=11 * DAY), "en") == ""
    assert "11 dias" in phone_warning(report(phone_silent_seconds=11 * DAY), "pt")
