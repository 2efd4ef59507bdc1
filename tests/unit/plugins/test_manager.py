"""Plugins: found, checked, called, and kept from doing harm."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from typing import Any

import msgspec
import pluggy
import pytest

from orbitbot.plugins.hooks import (
    Event,
    PluginSettings,
    PromptContext,
    Reply,
    Tool,
    TurnContext,
    hookimpl,
)
from orbitbot.plugins.manager import BUILT_IN, FACT_LIMIT, Enabled, Limits, Plugins

CONTEXT = TurnContext(
    client_id="padaria",
    language="en",
    timezone="UTC",
    now=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
    contact="1",
    message="oi",
)
CLOCK = ("clock", "Now: Sunday, 22 November 2026, 12:00 (UTC).")
LIMITS = Limits(hook_seconds=0.3, tool_seconds=0.3, suspend_failures=3, suspend_seconds=30.0)


class StockSettings(PluginSettings, frozen=True):
    """What may be set."""

    goods: tuple[str, ...] = ()


class Stock:
    """Knows what is there."""

    @hookimpl
    def plugin_settings(self) -> type[PluginSettings]:
        return StockSettings

    @hookimpl
    def prompt_facts(self, context: PromptContext) -> str:
        return f"{context.client_id} has {', '.join(context.settings.goods)}."

    @hookimpl
    async def after_answer(self, context: TurnContext, answer: str) -> str:
        await asyncio.sleep(0)
        return f"{answer} (to {context.contact})"


class Verbose:
    @hookimpl
    def prompt_facts(self) -> str:
        return "x" * 10_000


class Raises:
    @hookimpl
    def prompt_facts(self) -> str:
        raise RuntimeError("broken plugin")


class ReturnsNonsense:
    @hookimpl
    def prompt_facts(self) -> Any:
        return {"not": "a text"}


class NeverEnds:
    @hookimpl
    async def prompt_facts(self) -> str:
        await asyncio.sleep(3600)
        return ""


class Blocks:
    """Holds up its whole thread."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.called = 0

    @hookimpl
    def prompt_facts(self) -> str:
        self.called += 1
        self.released.wait(20)
        return ""


class Misspelt:
    @hookimpl
    def prompt_fact(self) -> str:
        return ""


class NeedsMore:
    @hookimpl
    def plugin_settings(self) -> Any:
        class Needs(PluginSettings, frozen=True, kw_only=True):
            key: str

        return Needs


@pytest.fixture
def plugins() -> Iterator[Plugins]:
    made = Plugins(LIMITS, found=())
    yield made
    made.close()


def on(plugins: Plugins, **settings: Any) -> list[Enabled]:
    chosen = {name: {"enabled": True, **given} for name, given in settings.items()}
    return plugins.enabled("padaria", str(time.perf_counter_ns()), chosen)


async def test_the_clock_works_for_everybody_and_others_for_whom_they_are_enabled(plugins: Plugins) -> None:
    plugins.register(Stock(), "stock", "shop-plugins")
    assert await plugins.prompt_facts(on(plugins), CONTEXT) == [CLOCK]
    enabled = on(plugins, stock={"goods": ["rice", "beans"]})
    assert await plugins.prompt_facts(enabled, CONTEXT) == [CLOCK, ("stock", "padaria has rice, beans.")]
    assert (
        await plugins.call("stock", "after_answer", CONTEXT, enabled[1].settings, answer="Yes")
        == "Yes (to 1)"
    )


async def test_a_fact_is_cut(plugins: Plugins) -> None:
    plugins.register(Verbose(), "verbose", "x")
    assert (await plugins.prompt_facts(on(plugins, verbose={}), CONTEXT))[1] == ("verbose", "x" * FACT_LIMIT)


@pytest.mark.parametrize("broken", [Raises, ReturnsNonsense, NeverEnds])
async def test_a_broken_plugin_is_skipped(plugins: Plugins, broken: Callable[[], object]) -> None:
    plugins.register(broken(), "broken", "x")
    plugins.register(Stock(), "stock", "x")
    facts = await plugins.prompt_facts(on(plugins, broken={}, stock={}), CONTEXT)
    assert [name for name, _ in facts] == ["clock", "stock"]


async def test_failures_are_counted_and_shown_and_a_plugin_that_keeps_failing_rests() -> None:
    counted: list[tuple[str, str, str]] = []
    plugins = Plugins(LIMITS, lambda *told: counted.append(told), found=())
    plugins.register(Raises(), "broken", "x")
    enabled = [each for each in on(plugins, broken={}) if each.name == "broken"]
    for _ in range(5):
        await plugins.prompt_facts(enabled, CONTEXT)
    assert [outcome for _, _, outcome in counted] == ["failed"] * 3 + ["suspended"] * 2
    (view,) = [each for each in plugins.describe() if each.name == "broken"]
    assert (view.failures, view.suspended) == (3, True)
    assert view.last_error == "prompt_facts: RuntimeError: broken plugin"
    plugins.close()


async def test_a_plugin_that_blocks_holds_up_nobody_else(plugins: Plugins) -> None:
    """Not the event loop, not other plugins, and in the end not even itself: it is not called any more."""
    blocks = Blocks()
    plugins.register(blocks, "blocks", "x")
    plugins.register(Stock(), "stock", "x")
    enabled = on(plugins, blocks={}, stock={})
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    for _ in range(6):
        facts = await plugins.prompt_facts(enabled, CONTEXT)
        assert [name for name, _ in facts] == ["clock", "stock"]
    ticking.cancel()
    assert ticks > 20
    assert blocks.called == 3
    blocks.released.set()


def test_a_hook_that_does_not_exist_is_refused(plugins: Plugins) -> None:
    with pytest.raises(pluggy.PluginValidationError):
        plugins.register(Misspelt(), "misspelt", "x")
    plugins.register(Stock(), "stock", "x")
    assert "misspelt" not in {view.name for view in plugins.describe()}


@pytest.mark.parametrize("name", ["", "Stock", "a b", "clock", "1st"])
def test_a_name_that_cannot_be(plugins: Plugins, name: str) -> None:
    with pytest.raises(ValueError, match=r"name|registered"):
        plugins.register(Stock(), name, "x")


def test_settings_are_checked_by_name(plugins: Plugins) -> None:
    plugins.register(Stock(), "stock", "x")
    problems = plugins.check(
        {
            "stock": {"enabled": True, "goods": ["a", 7]},
            "keywords": {"rules": [{"keywords": [], "reply": "x"}]},
            "hand-over": {"pause": 1},
            "unknown": {},
            "clock": {"enabled": False},
            "admin": "yes",
        }
    )
    assert [problem.field for problem in problems] == [
        "settings.plugins.stock.goods[1]",
        "settings.plugins.keywords.rules[0].keywords",
        "settings.plugins.hand-over",
        "settings.plugins.unknown",
        "settings.plugins.clock",
        "settings.plugins.admin",
    ]
    assert "allowed: admin, business-hours, hand-over, keywords, stock" in problems[3].detail
    assert plugins.check({"stock": {"enabled": True, "goods": ["a"]}}) == []


def test_settings_that_do_not_fit_any_more_switch_the_plugin_off(plugins: Plugins) -> None:
    plugins.register(Stock(), "stock", "x")
    names = [each.name for each in on(plugins, stock={"from-an-older-release": 1})]
    assert names == ["clock"]


def test_settings_without_defaults_are_refused(plugins: Plugins) -> None:
    with pytest.raises(TypeError):
        plugins.register(NeedsMore(), "needs-more", "x")


def test_every_plugin_describes_itself(plugins: Plugins) -> None:
    views = {view.name: view for view in plugins.describe()}
    assert views.keys() == BUILT_IN.keys()
    for view in views.values():
        assert view.description
        assert view.hooks
        assert "enabled" in str(view.settings)


def entry_point(value: str, name: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group="orbitbot")


def test_entry_points_are_found_and_one_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    found: Sequence[EntryPoint] = [
        entry_point("no.such.module:plugin", "missing"),
        entry_point("orbitbot.plugins.keywords:Keywords", "more-keywords"),
        entry_point("orbitbot.plugins.keywords:KeywordsSettings", "not-a-plugin"),
    ]
    plugins = Plugins(LIMITS, found=found)
    names = {view.name for view in plugins.describe()}
    assert "more-keywords" in names
    assert "missing" not in names
    assert "a plugin cannot be loaded" in caplog.text


async def test_tools_take_checked_arguments_and_events_reach_those_who_listen(plugins: Plugins) -> None:
    class Parameters(msgspec.Struct):
        item: str

    class Listens:
        def __init__(self) -> None:
            self.events: list[Event] = []

        @hookimpl
        def on_event(self, event: Event) -> None:
            self.events.append(event)

        @hookimpl
        def tools(self) -> list[Tool]:
            return [Tool("find", "Finds.", Parameters, lambda given: Reply(f"found {given.item}"))]

    listens = Listens()
    plugins.register(listens, "listens", "x")
    enabled = on(plugins, listens={})
    ((name, tool),) = await plugins.tools(enabled, CONTEXT)
    assert await plugins.use_tool(name, tool, Parameters("rice"), CONTEXT) == Reply("found rice")
    await plugins.tell(enabled, CONTEXT, Event("answered"))
    assert listens.events == [Event("answered")]
