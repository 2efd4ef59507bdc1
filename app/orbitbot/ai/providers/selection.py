"""Who answers: a language model once there is a key, the client's FAQ until then, and never nobody.

Where every model fails, the FAQ answers instead, and where that has no answer, the client's "we will get back
to you": no contact ever reads an error, and none is left without a word.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from orbitbot.ai import prompt
from orbitbot.ai.metrics import Metrics
from orbitbot.ai.models import Answer, Profile, Question
from orbitbot.ai.money import BudgetReachedError
from orbitbot.ai.notices import notice
from orbitbot.ai.prompt import PromptMessage
from orbitbot.ai.providers.answering import Asked, Asking, LanguageModels, NoModelError
from orbitbot.ai.providers.base import Purpose, ToolCall, ToolSpec
from orbitbot.ai.providers.keys import Keyring
from orbitbot.ai.providers.offline import OfflineProvider
from orbitbot.ai.settings import ProviderSettings

NAME: Final = "openai_compatible"
TOOL_ROUNDS: Final = 4  # calls of the model for one answer, at most
SENTENCE_ENDS: Final = ".!?…\n"

log = logging.getLogger(__name__)


class Toolbox(Protocol):
    """Tools for one contact of one client; a model can call nothing else."""

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told of them."""
        ...

    async def call(self, call: ToolCall) -> str:
        """What the tool says; an error is told to the model, never raised."""
        ...


class NoTools:
    """No tools at all."""

    specs: tuple[ToolSpec, ...] = ()

    async def call(self, call: ToolCall) -> str:
        """There is none to call."""
        return f"error: there is no tool {call.name!r}"


class LastError(msgspec.Struct, frozen=True):
    """The last failure of the language model's service."""

    at: datetime
    reason: str


class Providers:
    """Chooses, falls back, and remembers the last failure for `/readyz`."""

    def __init__(
        self, settings: ProviderSettings, *, keyring: Keyring, models: LanguageModels, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self.models = models
        self._metrics = metrics
        self._offline = OfflineProvider()
        self._last_error: LastError | None = None
        self._recovered = False

    async def close(self) -> None:
        """Close the connections to the service."""
        await self.models.close()

    async def answer(
        self, question: Question, tools: Toolbox | None = None, purpose: Purpose = "chat"
    ) -> Answer:
        """An answer, always: from a model, else from the client's FAQ, else its "we will get back to you".

        Raises:
            Unavailable: the database cannot be reached, so that no money can be set aside.
        """
        profile = question.profile
        if not self.models.has_key(profile):
            return await self._offline.answer(question)
        started = time.perf_counter()
        try:
            answer = await self._from_model(question, tools or NoTools(), purpose)
        except NoModelError as error:
            self.note_failure(str(error), profile.client_id)
            fallback, instead = await self._offline.answer(question), get_back(profile)
        except BudgetReachedError as error:
            self._metrics.count("orbitbot_ai_budget_refusals_total")
            log.info("not asked: %s", error, extra={"client_id": profile.client_id, "action": "ask_provider"})
            fallback, instead = await self._offline.answer(question), over_budget(profile)
        else:
            self.note_success()
            return answer
        if fallback.source == "no_answer":
            fallback = instead
        return msgspec.structs.replace(fallback, provider_ms=(time.perf_counter() - started) * 1000)

    async def _from_model(self, question: Question, tools: Toolbox, purpose: Purpose) -> Answer:
        profile = question.profile
        messages = prompt.build(question, self.models.context_of(profile))
        deadline = asyncio.get_running_loop().time() + self._settings.timeout_seconds
        total = Answer("", model="", source="provider")
        for round_number in range(TOOL_ROUNDS):
            offered = tools.specs if round_number < TOOL_ROUNDS - 1 else ()  # the last one has to answer
            asked = await self.models.ask(
                Asking(
                    profile=profile,
                    messages=tuple(messages),
                    purpose=purpose,
                    temperature=profile.settings.temperature,
                    max_tokens=profile.settings.max_answer_tokens,
                    turn=question.turn,
                    tools=offered,
                    deadline=deadline,
                )
            )
            total = _plus(total, asked)
            completion = asked.completion
            if not completion.tool_calls or not offered:
                break
            messages += await _use(tools, asked)
        if not total.text:
            raise NoModelError("the model called tools and never answered")
        return total

    def note_failure(self, reason: str, client_id: str) -> None:
        """Log that no model answered, and keep the reason."""
        self._last_error, self._recovered = LastError(datetime.now(UTC), reason), False
        log.warning("no model answered: %s", reason, extra={"client_id": client_id, "action": "ask_provider"})

    def note_success(self) -> None:
        """The service answers (again)."""
        self._recovered = True

    async def describe(self) -> str:
        """Which provider is in use and why, for `/readyz`. Holds no secret."""
        if not self._keyring.operators.key():
            return f"offline: {self._keyring.operators.problem}"
        text = f"{NAME}: {self._settings.base_url}, model {self._settings.default_model}"
        if self._last_error is not None:
            since = "it has answered since" if self._recovered else "the FAQ answers meanwhile"
            error = self._last_error
            text += f"; last error {error.at:%Y-%m-%dT%H:%M:%SZ}: {error.reason}; {since}"
        return text


def get_back(profile: Profile) -> Answer:
    """The client's "we will get back to you"."""
    text = profile.settings.get_back_text or notice("get_back", profile.language)
    return Answer(text, model="", source="get_back")


def over_budget(profile: Profile) -> Answer:
    """The client's text for when its budget is used up."""
    text = profile.settings.budget_text or notice("budget", profile.language)
    return Answer(text, model="", source="budget")


def whole_sentences(text: str) -> str:
    """A text that was cut at its limit, up to its last whole sentence, if it has one."""
    end = max(text.rfind(mark) for mark in SENTENCE_ENDS)
    return text[: end + 1].rstrip() if end > 0 else text


def _plus(total: Answer, asked: Asked) -> Answer:
    completion = asked.completion
    text = whole_sentences(completion.text) if completion.cut else completion.text
    return msgspec.structs.replace(
        total,
        text="" if completion.tool_calls else text,
        model=completion.model,
        prompt_tokens=total.prompt_tokens + completion.prompt_tokens,
        completion_tokens=total.completion_tokens + completion.completion_tokens,
        cost_usd=total.cost_usd + asked.cost_usd,
        provider_ms=total.provider_ms + completion.milliseconds,
    )


async def _use(tools: Toolbox, asked: Asked) -> list[PromptMessage]:
    calls = asked.completion.tool_calls
    said = await asyncio.gather(*(tools.call(call) for call in calls))
    wanted = tuple((call.id, call.name, call.arguments) for call in calls)
    return [
        PromptMessage("assistant", asked.completion.text, tool_calls=wanted),
        *(PromptMessage("tool", text, tool_call_id=call.id) for call, text in zip(calls, said, strict=True)),
    ]
