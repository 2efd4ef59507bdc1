"""The plugin manager."""

import logging
from datetime import UTC, datetime

import pluggy
import pytest

from orbitbot.plugins.hooks import PromptContext, hookimpl
from orbitbot.plugins.manager import FACT_LIMIT, new_plugin_manager, prompt_facts

CONTEXT = PromptContext("padaria", "en", "UTC", datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
CLOCK = "Now: Sunday, 22 November 2026, 12:00 (UTC)."


class Stock:
    @hookimpl
    def prompt_facts(self, context: PromptContext) -> str:
        return f"{context.client_id} has rice."


class Silent:
    @hookimpl
    def prompt_facts(self) -> None:
        return None


class Verbose:
    @hookimpl
    def prompt_facts(self) -> str:
        return "x" * 10_000


class Broken:
    @hookimpl
    def prompt_facts(self) -> str:
        raise RuntimeError("broken plugin")


class Misspelt:
    @hookimpl
    def prompt_fact(self) -> str:
        return ""


def test_the_built_in_clock_is_there() -> None:
    assert prompt_facts(new_plugin_manager(), CONTEXT) == [CLOCK]


def test_facts_come_in_the_order_of_registration() -> None:
    manager = new_plugin_manager()
    manager.register(Stock())
    manager.register(Silent())
    manager.register(Verbose())
    assert prompt_facts(manager, CONTEXT) == [CLOCK, "padaria has rice.", "x" * FACT_LIMIT]


def test_a_broken_plugin_is_left_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    manager = new_plugin_manager()
    manager.register(Broken(), name="broken")
    manager.register(Stock())
    with caplog.at_level(logging.ERROR):
        assert prompt_facts(manager, CONTEXT) == [CLOCK, "padaria has rice."]
    assert "a plugin failed" in caplog.text


def test_a_hook_that_does_not_exist_is_refused() -> None:
    manager = new_plugin_manager()
    manager.register(Misspelt())
    with pytest.raises(pluggy.PluginValidationError):
        manager.check_pending()
