"""Merging a change into a configuration."""

from typing import Any

import msgspec
import pytest

from orbitbot.clients.configurations import merge
from orbitbot.clients.models import Configuration
from orbitbot.contracts.configure import Configure
from orbitbot.foundation.errors import InvalidInput


def change(**body: Any) -> Configure:
    return msgspec.json.decode(msgspec.json.encode(body), type=Configure)


PRESENT = Configuration(3, "P", {"temperature": 0.2, "vocabulary": ["a"]})


def test_what_is_left_out_stays() -> None:
    assert merge(PRESENT, change()) == Configuration(4, "P", {"temperature": 0.2, "vocabulary": ["a"]})
    merged = merge(PRESENT, change(personality="", settings={"vocabulary": ["b"]}))
    assert merged == Configuration(4, "", {"temperature": 0.2, "vocabulary": ["b"]})
    assert PRESENT.chosen["vocabulary"] == ["a"]


def test_null_goes_back_to_the_default() -> None:
    merged = merge(PRESENT, change(settings={"temperature": None, "model": None}))
    assert merged.chosen == {"vocabulary": ["a"]}
    assert merged.settings.temperature == 0.7


def test_defaults_are_this_releases() -> None:
    assert Configuration(1, "", {"quietSeconds": 1}).settings.quiet_seconds == 1.0
    assert Configuration().settings.burst_seconds == 15.0


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"quiet_seconds": 1}, "settings.quiet_seconds"),
        ({"quietSeconds": -1}, "settings.quietSeconds"),
        ({"quietSeconds": "1"}, "settings.quietSeconds"),
        ({"faq": [{"question": "", "answer": "x"}]}, "settings.faq[0].question"),
        ({"faq": [{"question": "q", "answer": "x\0"}]}, "settings.faq[0].answer"),
        ({"vocabulary": ["a", 1]}, "settings.vocabulary[1]"),
        (
            {"business": {"hours": [{"days": ["mon"], "opens": "7h", "closes": "19:00"}]}},
            "settings.business.hours[0].opens",
        ),
        ({"business": {"adress": "x"}}, "settings.business"),
        ({"fallbackModels": ["a", "b", "c", "d", "e"]}, "settings.fallbackModels"),
        ({"budgetDayUsd": -1}, "settings.budgetDayUsd"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        merge(PRESENT, change(settings=settings))
    assert refused.value.field == field


def test_an_unknown_setting_is_told_what_there_is() -> None:
    with pytest.raises(InvalidInput, match=r"allowed: .*quietSeconds"):
        merge(PRESENT, change(settings={"quietSecond": 1}))


def test_a_placeholder_that_stands_for_nothing_is_told_what_there_is() -> None:
    with pytest.raises(InvalidInput, match=r"no such placeholder \{\{hour\}\}; allowed: .*hours"):
        merge(PRESENT, change(personality="Open: {{hour}}"))
    assert merge(PRESENT, change(personality="{{ hours }} {x} {{}}")).personality == "{{ hours }} {x} {{}}"
