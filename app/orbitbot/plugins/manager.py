"""Makes the plugin manager and asks plugins for what they know."""

import logging
from typing import Final

import pluggy

from orbitbot.plugins.clock import Clock
from orbitbot.plugins.hooks import PROJECT, Hooks, PromptContext

BUILT_IN: Final = (Clock,)
FACT_LIMIT: Final = 1000  # characters of one plugin's fact that reach the prompt

log = logging.getLogger(__name__)


def new_plugin_manager() -> pluggy.PluginManager:
    """A manager with the built-in plugins and those that other distributions offer."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    for plugin in BUILT_IN:
        manager.register(plugin(), name=plugin.__name__.lower())
    manager.load_setuptools_entrypoints(PROJECT)
    manager.check_pending()
    return manager


def prompt_facts(manager: pluggy.PluginManager, context: PromptContext) -> list[str]:
    """What the plugins say, in the order in which they were registered.

    A plugin that raises is left out and logged: the answer does not depend on it.
    """
    facts = []
    for name, plugin in manager.list_name_plugin():
        others = [other for other in manager.get_plugins() if other is not plugin]
        try:
            answers = manager.subset_hook_caller("prompt_facts", others)(context=context)
        except Exception:
            log.exception("a plugin failed", extra={"client_id": context.client_id, "action": name})
            continue
        facts += [fact[:FACT_LIMIT] for fact in answers if fact]
    return facts
