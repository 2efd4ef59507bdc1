"""Built-in plugin: fixed answers to messages with certain words."""

from typing import Annotated

import msgspec

from orbitbot.plugins.hooks import Decision, PluginSettings, Reply, TurnContext, hookimpl
from orbitbot.plugins.matching import says

Keyword = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Rule(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """An answer, and the words that it is for.

    Attributes:
        whole: only if the message consists of one of them and nothing else.
    """

    keywords: Annotated[tuple[Keyword, ...], msgspec.Meta(min_length=1, max_length=50)]
    reply: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    whole: bool = False


class KeywordsSettings(PluginSettings, frozen=True):
    """What may be set: the rules, of which the first that fits is taken."""

    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=100)] = ()


class Keywords:
    """Answers messages that hold certain words with fixed texts; no language model is asked."""

    @hookimpl
    def plugin_settings(self) -> type[PluginSettings]:
        """See `KeywordsSettings`."""
        return KeywordsSettings

    @hookimpl
    def before_answer(self, context: TurnContext) -> Decision | None:
        """The first rule's answer that fits."""
        settings: KeywordsSettings = context.settings
        for rule in settings.rules:
            if says(context.message, rule.keywords, whole=rule.whole):
                return Reply(rule.reply)
        return None
