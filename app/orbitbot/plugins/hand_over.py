"""Built-in plugin: a contact asks for a person, the client's people are told, the assistant is silent."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from orbitbot.plugins.hooks import (
    Decision,
    Effect,
    PauseChat,
    PluginSettings,
    Reply,
    Tell,
    Tool,
    TurnContext,
    hookimpl,
)
from orbitbot.plugins.matching import says

EVENT: Final = "human_asked"
PHRASES: Final = (
    "falar com atendente", "falar com um atendente", "falar com uma atendente", "falar com uma pessoa",
    "falar com alguem", "falar com humano", "falar com um humano", "atendimento humano", "atendente humano",
    "quero um atendente", "quero atendente", "quero falar com o dono", "quero falar com a dona",
    "falar com o gerente", "falar com a gerente", "pessoa de verdade", "nao quero falar com robo",
    "talk to a person", "talk to a human", "speak to a person", "speak to a human", "speak with a person",
    "speak with a human", "talk to someone", "speak to someone", "real person", "human agent",
    "talk to an agent", "speak to an agent", "speak to the manager", "talk to the manager",
    "hablar con una persona", "hablar con alguien", "hablar con un humano", "un agente humano",
)  # fmt: skip
_TEXTS: Final = {
    "pt": "Tudo bem! Já avisei a nossa equipe, e uma pessoa continua o atendimento por aqui.",
    "en": "Of course! I have told our team, and a person will continue this chat here.",
}

Phrase = Annotated[str, msgspec.Meta(min_length=2, max_length=100)]


class HandOverSettings(PluginSettings, frozen=True):
    """What may be set.

    Attributes:
        phrases: further ways to ask for a person.
        reply: what the contact is told; empty: the language's own.
        pause_minutes: for which the assistant is silent in the chat; null: until somebody resumes it.
        model_may: the language model may hand a chat over by itself, when it cannot help.
    """

    phrases: Annotated[tuple[Phrase, ...], msgspec.Meta(max_length=50)] = ()
    reply: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    pause_minutes: Annotated[float, msgspec.Meta(ge=1, le=43_200)] | None = 720.0
    model_may: bool = True


class _Reason(msgspec.Struct, forbid_unknown_fields=True):
    """What the person will want to know."""

    reason: Annotated[str, msgspec.Meta(max_length=500, description="Why, in one sentence.")] = ""


class HandOver:
    """Hands a chat over to a person when the contact asks for one, or the model cannot help."""

    @hookimpl
    def plugin_settings(self) -> type[PluginSettings]:
        """See `HandOverSettings`."""
        return HandOverSettings

    @hookimpl
    def before_answer(self, context: TurnContext) -> Decision | None:
        """Hand over if the contact asks for it."""
        settings: HandOverSettings = context.settings
        if not context.contact or not says(context.message, (*PHRASES, *settings.phrases)):
            return None
        language = "pt" if context.language.partition("-")[0].lower() == "pt" else "en"
        return Reply(settings.reply or _TEXTS[language], _effects(settings, "asked by the contact"))

    @hookimpl
    def tools(self, context: TurnContext) -> Sequence[Tool] | None:
        """Let the model hand over."""
        settings: HandOverSettings = context.settings
        if not context.contact or not settings.model_may:
            return None

        def hand_over(given: _Reason) -> Reply:
            text = "A person has been told and will continue. Tell the customer so, in one sentence."
            return Reply(text, _effects(settings, given.reason or "asked by the assistant"))

        description = (
            "Hand this chat over to a person of the business. Call it when the customer asks for a person, "
            "or is upset, or when only a person can help. Do not call it for anything else."
        )
        return [Tool("hand_over_to_person", description, _Reason, hand_over)]


def _effects(settings: HandOverSettings, why: str) -> tuple[Effect, ...]:
    return (
        PauseChat(settings.pause_minutes, reason="handed over to a person"),
        Tell(EVENT, {"why": why}),
    )
