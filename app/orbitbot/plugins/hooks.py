"""The hooks that a plugin may implement (pluggy). Each implementation is marked `@hookimpl`.

A hook may be an ordinary function or a coroutine. It takes of the arguments named here those that it wants.
It has a time limit, and runs apart from the service; one that fails is skipped, counted and shown.
docs/plugins.md leads from nothing to a tested plugin.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import pluggy

from orbitbot.contracts.configure import Business
from orbitbot.contracts.messages import SilenceReason

PROJECT: Final = "orbitbot"  # also the entry point group of plugins in other distributions

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class PluginSettings(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """Base of what may be set of a plugin for each client. A plugin works for those that enable it."""

    enabled: bool = False


class PromptContext(msgspec.Struct, frozen=True):
    """For whom, and when, an answer is being made.

    Attributes:
        language: the client's, as a BCP 47 tag.
        timezone: the client's, as an IANA name.
        now: the present moment, in UTC.
        settings: this plugin's for the client, of the type that its hook `plugin_settings` returns.
    """

    client_id: str
    language: str
    timezone: str
    now: datetime
    client_name: str = ""
    business: Business = msgspec.field(default_factory=Business)
    settings: Any = None


class TurnContext(PromptContext, frozen=True):
    """A message of a contact that is to be answered.

    Attributes:
        contact: who wrote it; empty for a question without a conversation.
        spoken: (part of) it was transcribed from voice notes.
        test: it is only tried out: nothing that a plugin asks for is done.
    """

    contact: str = ""
    message: str = ""
    turn: str = ""
    spoken: bool = False
    test: bool = False


class PauseChat(msgspec.Struct, frozen=True):
    """Be silent in this chat (or the one with `contact`) until it is resumed, or for some minutes."""

    minutes: float | None = None
    contact: str = ""
    reason: str = "a person has taken over"


class ResumeChat(msgspec.Struct, frozen=True):
    """Answer the chat with `contact` again."""

    contact: str


class Tell(msgspec.Struct, frozen=True):
    """Tell the client's people something: an event of the kind `kind`, about this contact."""

    kind: str
    data: Mapping[str, Any] = {}


Effect = PauseChat | ResumeChat | Tell


class Change(msgspec.Struct, frozen=True):
    """Go on with another message than the contact's."""

    message: str
    effects: Sequence[Effect] = ()


class Reply(msgspec.Struct, frozen=True):
    """This is the answer: nobody else is asked."""

    text: str
    effects: Sequence[Effect] = ()


class Silence(msgspec.Struct, frozen=True):
    """There is to be no answer."""

    reason: SilenceReason
    effects: Sequence[Effect] = ()


Decision = Change | Reply | Silence


class Event(msgspec.Struct, frozen=True):
    """Something that has happened: `answered`, `silenced`, `budget_reached`, or what a plugin tells."""

    kind: str
    contact: str = ""
    data: Mapping[str, Any] = {}


class Tool(msgspec.Struct, frozen=True):
    """What a language model may call while it answers this contact.

    Attributes:
        name: letters, digits and underscores.
        description: for the model: what it does, and when to call it.
        parameters: a msgspec Struct; what the model gives is checked against it.
        run: takes such a Struct; returns what the model is told, or a `Reply` whose effects are done, too.
            It knows client and contact by where it was made: the model cannot name others.
    """

    name: str
    description: str
    parameters: type[msgspec.Struct]
    run: Callable[[Any], str | Reply | Awaitable[str | Reply]]


class Command(msgspec.Struct, frozen=True):
    """What an admin number may write to the assistant: `/name arguments`.

    Attributes:
        help: language → what it does, in one line.
        run: takes the turn and the arguments.
    """

    name: str
    help: Mapping[str, str]
    run: Callable[[TurnContext, str], Reply | Awaitable[Reply]]


class Hooks:
    """The specifications; pluggy checks every plugin against them."""

    @hookspec
    def plugin_settings(self) -> type[PluginSettings]:
        """What may be set of this plugin for a client. Without it: whether it is enabled."""
        raise NotImplementedError

    @hookspec
    def prompt_facts(self, context: PromptContext) -> str | None:
        """One short fact that the assistant should know for this answer, in the client's language.

        None, when there is nothing to say. It may not contain anything that a contact has written.
        """

    @hookspec
    def before_answer(self, context: TurnContext) -> Decision | None:
        """Change the message, answer it, or silence it; None to let it pass."""

    @hookspec
    def after_answer(self, context: TurnContext, answer: str) -> str | None:
        """Another answer than the one that was made; None to leave it as it is."""

    @hookspec
    def on_event(self, context: PromptContext, event: Event) -> None:
        """Something has happened. The answer does not wait for this."""

    @hookspec
    def commands(self, context: PromptContext) -> Sequence[Command] | None:
        """What admin numbers may write."""

    @hookspec
    def tools(self, context: TurnContext) -> Sequence[Tool] | None:
        """What the language model may call for this contact."""
