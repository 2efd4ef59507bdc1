"""Which messages are never answered."""

from typing import Any

import pytest

from orbitbot.bot.models import Content, InboundEvent
from orbitbot.bot.rules import set_aside_reason
from orbitbot.contracts.bot import BotSettings

NOW = 1_790_000_000.0


def reason(settings: BotSettings | None = None, **changes: Any) -> str | None:
    values: dict[str, Any] = {
        "id": "A1",
        "chat": "5511987654321",
        "sender": "5511987654321",
        "type": "text",
        "sent_at": NOW,
    }
    return set_aside_reason(InboundEvent(**values | changes), settings or BotSettings(), NOW)


def test_an_ordinary_message_is_answered() -> None:
    assert reason() is None


@pytest.mark.parametrize(
    ("changes", "settings", "expected"),
    [
        ({"group": True}, BotSettings(), "group"),
        ({"group": True}, BotSettings(answer_groups=True), "group"),
        ({"group": True, "addressed": True}, BotSettings(answer_groups=True), None),
        ({"group": True, "addressed": True}, BotSettings(), "group"),
        ({"content": Content(kind="image")}, BotSettings(), None),
        ({"content": Content(kind="image")}, BotSettings(answer_kinds=()), "not_answered"),
        ({"content": Content(kind="image"), "text": "a legenda"}, BotSettings(answer_kinds=()), None),
        ({"content": Content(kind="reaction", name="👍")}, BotSettings(), "not_answered"),
        ({"content": Content(kind="reaction", name="👍")}, BotSettings(answer_kinds=("reaction",)), None),
        ({"kind": "status"}, BotSettings(), "status_broadcast"),
        ({"kind": "own"}, BotSettings(), "own_message"),
        ({"kind": "history"}, BotSettings(), "history"),
        ({"kind": "unsupported"}, BotSettings(), "unsupported"),
        ({"kind": "unsupported", "group": True}, BotSettings(), "group"),
        ({"type": "voice", "content": Content(kind="audio")}, BotSettings(answer_kinds=()), None),
        ({"sender": "5511987654321@lid"}, BotSettings(fleet_numbers=["5511987654321"]), None),
        ({"sender": "77@lid"}, BotSettings(fleet_numbers=["77@lid"]), "fleet_number"),
        ({"sent_at": NOW - 6 * 3600 - 1}, BotSettings(), "too_old"),
        ({"sent_at": NOW - 6 * 3600 + 1}, BotSettings(), None),
        ({"sent_at": NOW - 61}, BotSettings(max_age_seconds=60), "too_old"),
        ({"sent_at": NOW + 3600}, BotSettings(), None),  # the channel's clock is ahead
        ({}, BotSettings(muted=True), "muted"),
        ({}, BotSettings(fleet_numbers=["+55 11 98765-4321"]), "fleet_number"),
        (
            {"sender": "5511987654321@s.whatsapp.net"},
            BotSettings(fleet_numbers=["5511987654321"]),
            "fleet_number",
        ),
        (
            {"sender": "5511987654321:7@s.whatsapp.net"},
            BotSettings(fleet_numbers=["5511987654321"]),
            "fleet_number",
        ),
        ({}, BotSettings(fleet_numbers=["5511987654322"]), None),
        ({"kind": "own", "group": True}, BotSettings(muted=True), "own_message"),  # the most telling one
    ],
)
def test_reasons(changes: dict[str, Any], settings: BotSettings, expected: str | None) -> None:
    assert reason(settings, **changes) == expected
