"""Finds plugins, checks their settings, and calls their hooks, each isolated from the rest.

A plugin is an object with `@hookimpl` methods: built in (`BUILT_IN`), or named by an entry point of the group
`orbitbot` in a distribution that the operator has installed. Its name is the entry point's.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal

import msgspec
import pluggy

from orbitbot.contracts.plugins import PluginProblem, PluginView
from orbitbot.foundation.errors import OrbitBotError
from orbitbot.plugins.admin import Admin
from orbitbot.plugins.business_hours import BusinessHours
from orbitbot.plugins.clock import Clock
from orbitbot.plugins.hand_over import HandOver
from orbitbot.plugins.hooks import (
    PROJECT,
    Command,
    Event,
    Hooks,
    PluginSettings,
    PromptContext,
    Tool,
    TurnContext,
)
from orbitbot.plugins.isolation import Isolated
from orbitbot.plugins.keywords import Keywords

BUILT_IN: Final[dict[str, Callable[[], object]]] = {
    "clock": Clock,
    "business-hours": BusinessHours,
    "hand-over": HandOver,
    "keywords": Keywords,
    "admin": Admin,
}
ALWAYS_ON: Final = frozenset({"clock"})
FACT_LIMIT: Final = 1000  # characters of one plugin's fact that reach the prompt
KEPT: Final = 5_000  # clients whose decoded settings are kept, per process
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,49}")
_AT: Final = re.compile(r"^(?P<message>.*?)(?: - at `\$(?:\.(?P<path>[^`]*))?`)?$", re.DOTALL)

Outcome = Literal["done", "failed", "timeout", "suspended"]
Count = Callable[[str, str, Outcome], None]

log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True):
    """Times in seconds; see `ai.settings.PluginSettings`."""

    hook_seconds: float = 2.0
    tool_seconds: float = 5.0
    suspend_failures: int = 5
    suspend_seconds: float = 60.0


class Enabled(msgspec.Struct, frozen=True):
    """A plugin that works for a client, with its settings."""

    name: str
    settings: PluginSettings


class _Plugin:
    """One registered plugin and how it does."""

    def __init__(self, name: str, plugin: object, distribution: str) -> None:
        self.name = name
        self.plugin = plugin
        self.distribution = distribution
        built_in = type(plugin).__module__.startswith("orbitbot.plugins.") and distribution == "orbitbot"
        self.isolated = Isolated(name, trusted=built_in)
        self.settings_type: type[PluginSettings] = PluginSettings
        self.hooks: dict[str, Any] = {}
        self.calls = self.failures = self.in_a_row = 0
        self.suspended_until = 0.0
        self.last_error = ""


class Plugins:
    """All plugins of a process.

    Args:
        count: told of every call: plugin, hook, outcome.
    """

    def __init__(
        self,
        limits: Limits = Limits(),  # noqa: B008  (frozen)
        count: Count = lambda plugin, hook, outcome: None,  # noqa: ARG005
        found: Sequence[EntryPoint] | None = None,
    ) -> None:
        self._limits = limits
        self._count = count
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._plugins: dict[str, _Plugin] = {}
        self._enabled: dict[str, tuple[str, list[Enabled]]] = {}
        for name, make in BUILT_IN.items():
            self.register(make(), name)
        for point in entry_points(group=PROJECT) if found is None else found:
            self._load(point)

    def _load(self, point: EntryPoint) -> None:
        """Register what an entry point names. A plugin that cannot be loaded is left out, and told."""
        distribution = point.dist.name if point.dist is not None else "?"
        try:
            loaded = point.load()
            self.register(loaded() if isinstance(loaded, type) else loaded, point.name, distribution)
        except Exception:
            log.exception("a plugin cannot be loaded", extra={"action": point.name, "from": distribution})

    def register(self, plugin: object, name: str, distribution: str = "orbitbot") -> None:
        """Add a plugin.

        Raises:
            ValueError: its name is taken, or no name.
            pluggy.PluginValidationError: it implements a hook that does not exist, or otherwise than it is.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a plugin's name: lower-case letters, digits and hyphens")
        self._manager.register(plugin, name=name)
        try:
            self._manager.check_pending()
            added = _Plugin(name, plugin, distribution)
            for caller in self._manager.get_hookcallers(plugin) or []:
                for found in caller.get_hookimpls():
                    if found.plugin is plugin:
                        added.hooks[caller.name] = found
            if (settings := added.hooks.get("plugin_settings")) is not None:
                added.settings_type = settings.function()
            added.settings_type()  # every field has a default
        except Exception:
            self._manager.unregister(plugin)
            raise
        self._plugins[name] = added

    def close(self) -> None:
        """Stop the plugins' threads."""
        for plugin in self._plugins.values():
            plugin.isolated.close()

    def check(self, plugins: Mapping[str, Any]) -> list[PluginProblem]:
        """What is wrong with a client's settings of plugins."""
        problems = []
        for name, settings in plugins.items():
            field = f"settings.plugins.{name}"
            plugin = self._plugins.get(name)
            if plugin is None or name in ALWAYS_ON:
                allowed = ", ".join(sorted(self._plugins.keys() - ALWAYS_ON))
                problems.append(PluginProblem(field, f"no such plugin; allowed: {allowed}"))
                continue
            try:
                msgspec.convert(settings, plugin.settings_type)
            except msgspec.ValidationError as error:
                found = _AT.match(str(error))
                message, path = found.group("message", "path") if found else (str(error), None)
                problems.append(PluginProblem(f"{field}.{path}" if path else field, message))
        return problems

    def describe(self) -> list[PluginView]:
        """Every plugin and how it does, by name."""
        now = time.monotonic()
        return [
            PluginView(
                name=plugin.name,
                description=" ".join((type(plugin.plugin).__doc__ or "").split()),
                distribution=plugin.distribution,
                always_on=plugin.name in ALWAYS_ON,
                hooks=sorted(plugin.hooks.keys() - {"plugin_settings"}),
                settings=msgspec.json.schema(plugin.settings_type),
                calls=plugin.calls,
                failures=plugin.failures,
                suspended=plugin.suspended_until > now,
                last_error=plugin.last_error,
            )
            for plugin in sorted(self._plugins.values(), key=lambda each: each.name)
        ]

    def enabled(self, client_id: str, revision: str, chosen: Mapping[str, Any]) -> list[Enabled]:
        """The plugins that work for a client, in the order of their registration.

        Settings that do not fit (any more) switch the plugin off, and are logged.
        """
        kept = self._enabled.get(client_id)
        if kept is not None and kept[0] == revision:
            return kept[1]
        found: list[Enabled] = []
        for name, plugin in self._plugins.items():
            try:
                settings = msgspec.convert(chosen.get(name, {}), plugin.settings_type)
            except msgspec.ValidationError:
                log.warning(
                    "settings of a plugin do not fit it: it is off",
                    extra={"client_id": client_id, "action": name},
                )
                continue
            if settings.enabled or name in ALWAYS_ON:
                found.append(Enabled(name, settings))
        if len(self._enabled) >= KEPT:
            self._enabled.clear()
        self._enabled[client_id] = (revision, found)
        return found

    async def call(
        self, name: str, hook: str, context: PromptContext, settings: PluginSettings, **arguments: Any
    ) -> Any:
        """What a plugin's hook returns; None if it has no such hook, or fails."""
        plugin = self._plugins[name]
        found = plugin.hooks.get(hook)
        if found is None:
            return None
        given = {"context": msgspec.structs.replace(context, settings=settings), **arguments}
        values = tuple(given[argument] for argument in found.argnames)
        return await self.guard(name, hook, found.function, values, self._limits.hook_seconds, context)

    async def guard(  # noqa: PLR0917  (a call, and all that it needs)
        self,
        name: str,
        hook: str,
        function: Callable[..., Any],
        values: tuple[Any, ...],
        seconds: float,
        context: PromptContext,
    ) -> Any:
        """What a function of a plugin returns; None if it fails or takes too long, which is counted."""
        plugin = self._plugins[name]
        if plugin.suspended_until > time.monotonic():
            self._count(name, hook, "suspended")
            return None
        plugin.calls += 1
        outcome: Outcome = "done"
        result = None
        try:
            result = await plugin.isolated.run(function, values, seconds)
            plugin.in_a_row = 0
        except OrbitBotError:
            raise
        except TimeoutError:
            outcome, plugin.last_error = "timeout", f"{hook}: took longer than {seconds:g} s"
        except Exception as error:
            outcome, plugin.last_error = "failed", f"{hook}: {type(error).__name__}: {error}"[:300]
            log.exception(
                "a plugin failed", extra={"client_id": context.client_id, "action": f"{name}.{hook}"}
            )
        self._count(name, hook, outcome)
        if outcome != "done":
            self._failed(plugin, hook)
        return result

    def _failed(self, plugin: _Plugin, hook: str) -> None:
        plugin.failures += 1
        plugin.in_a_row += 1
        log.warning("a plugin was skipped: %s", plugin.last_error, extra={"action": f"{plugin.name}.{hook}"})
        if plugin.in_a_row >= self._limits.suspend_failures:
            plugin.in_a_row = 0
            plugin.suspended_until = time.monotonic() + self._limits.suspend_seconds

    async def prompt_facts(self, enabled: Sequence[Enabled], context: PromptContext) -> list[tuple[str, str]]:
        """(plugin, fact) of those that have one to tell, in the order of the plugins."""
        said = await asyncio.gather(
            *(self.call(each.name, "prompt_facts", context, each.settings) for each in enabled)
        )
        return [
            (each.name, fact[:FACT_LIMIT])
            for each, fact in zip(enabled, said, strict=True)
            if isinstance(fact, str) and fact
        ]

    async def tools(self, enabled: Sequence[Enabled], context: TurnContext) -> list[tuple[str, Tool]]:
        """(plugin, tool) of every tool that the model may call for this contact."""
        found: list[tuple[str, Tool]] = []
        for each in enabled:
            offered = await self.call(each.name, "tools", context, each.settings)
            found += [(each.name, tool) for tool in offered or () if isinstance(tool, Tool)]
        return found

    async def use_tool(self, name: str, tool: Tool, arguments: msgspec.Struct, context: TurnContext) -> Any:
        """What a tool returns; None if it fails."""
        return await self.guard(
            name, f"tool {tool.name}", tool.run, (arguments,), self._limits.tool_seconds, context
        )

    async def use_command(self, name: str, command: Command, context: TurnContext, arguments: str) -> Any:
        """What a command answers; None if it fails."""
        return await self.guard(
            name,
            f"command {command.name}",
            command.run,
            (context, arguments),
            self._limits.tool_seconds,
            context,
        )

    async def tell(self, enabled: Sequence[Enabled], context: PromptContext, event: Event) -> None:
        """Tell every plugin of an event."""
        await asyncio.gather(
            *(self.call(each.name, "on_event", context, each.settings, event=event) for each in enabled)
        )
