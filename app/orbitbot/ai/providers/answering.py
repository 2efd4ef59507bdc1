"""Asks language models until one answers: retries, fallback models, one deadline, and the money for it all.

Each attempt is paid for by itself: reserved before, settled after, whatever becomes of it.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from orbitbot.ai.metrics import Metrics
from orbitbot.ai.models import Profile
from orbitbot.ai.money import Money, Purse, Spent, today
from orbitbot.ai.prompt import PromptMessage, estimate_tokens
from orbitbot.ai.providers.base import KEY, Call, Completion, ProviderError, Purpose, ToolSpec
from orbitbot.ai.providers.breaker import Breakers
from orbitbot.ai.providers.keys import Keyring
from orbitbot.ai.providers.openai_compatible import OpenAICompatible
from orbitbot.ai.providers.prices import ModelPrice, PriceList
from orbitbot.ai.settings import BudgetSettings, ProviderSettings
from orbitbot.foundation.errors import Unavailable

FIRST_PAUSE: Final = 0.25  # seconds before a call is repeated, doubled each time
PATIENCE: Final = 2.0  # seconds; who wants to be left alone for longer is passed over
LEAST_SECONDS: Final = 0.5  # that must be left for an attempt to make sense
LIST_SECONDS: Final = 10.0  # for the list of models
BELIEVED: Final = 5.0  # times what was reserved; a higher cost is not believed

log = logging.getLogger(__name__)


class NoModelError(Exception):
    """No language model has answered; the text says what the last one had."""


class Asking(msgspec.Struct, frozen=True):
    """What a language model is to be asked.

    Attributes:
        models: in order; empty for those of the profile.
        seconds: for everything; None for the operator's limit.
    """

    profile: Profile
    messages: tuple[PromptMessage, ...]
    purpose: Purpose
    temperature: float
    max_tokens: int
    turn: str = ""
    tools: tuple[ToolSpec, ...] = ()
    models: tuple[str, ...] = ()
    deadline: float | None = None


class Asked(msgspec.Struct, frozen=True):
    """A completion, what it cost, and how long all attempts took together."""

    completion: Completion
    cost_usd: float
    milliseconds: float


class LanguageModels:
    """All models behind the configured service."""

    def __init__(
        self,
        settings: ProviderSettings,
        budget: BudgetSettings,
        *,
        keyring: Keyring,
        money: Money,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._budget = budget
        self._keyring = keyring
        self._money = money
        self._metrics = metrics
        self._now = now
        self._endpoint = OpenAICompatible(settings)
        self.prices = PriceList(settings)
        self.breakers = Breakers(settings.breaker_failures, settings.timeout_seconds)

    async def close(self) -> None:
        """Close the connections to the service."""
        await self.prices.close()
        await self._endpoint.close()

    def has_key(self, profile: Profile) -> bool:
        """Whether there is a key to ask with for this client."""
        return bool(self._keyring.key_of(profile)[0])

    def models_of(self, profile: Profile) -> tuple[str, ...]:
        """The client's models in order, or the operator's."""
        own = profile.settings
        first = own.model or self._settings.default_model
        rest = tuple(own.fallback_models) or self._settings.fallback_models
        return (first, *(model for model in rest if model and model != first))

    def context_of(self, profile: Profile) -> int:
        """How many tokens the prompt and the answer may have together, whichever of the models answers."""
        own = profile.settings.context_tokens
        limits = [self.prices.of(model).context_tokens for model in self.models_of(profile)]
        return min([own, *limits] if own else limits)

    async def ask(self, asking: Asking) -> Asked:
        """The first completion that any of the models gives.

        Raises:
            NoModelError: none did before the deadline.
            BudgetReachedError: there is no money left for it.
        """
        profile = asking.profile
        key, own_key = self._keyring.key_of(profile)
        if not key:
            raise NoModelError("there is no key")
        self.prices.refresh(lambda: self._endpoint.models(key, LIST_SECONDS))
        loop = asyncio.get_running_loop()
        deadline = asking.deadline or loop.time() + self._settings.timeout_seconds
        started = time.perf_counter()
        purse = self._purse(profile, own_key=own_key)
        digest = hashlib.sha256(key.encode()).hexdigest()
        reason = "every model has failed too often just now"
        for model in asking.models or self.models_of(profile):
            if deadline - loop.time() < LEAST_SECONDS:
                break
            if not self.breakers.allows(model, digest):
                self._metrics.count("orbitbot_ai_calls_total", model=model, outcome="breaker_open")
                continue
            call = Call(model, asking.messages, asking.temperature, asking.max_tokens, deadline, asking.tools)
            try:
                completion, cost = await self._persist(call, key, digest, purse, asking)
            except ProviderError as error:
                reason = str(error)
                log.warning(
                    "the provider failed: %s",
                    error,
                    extra={"client_id": profile.client_id, "model": model, "action": asking.purpose},
                )
                if error.fault == KEY:
                    break
                continue
            return Asked(completion, cost, (time.perf_counter() - started) * 1000)
        raise NoModelError(reason)

    async def _persist(
        self, call: Call, key: str, digest: str, purse: Purse, asking: Asking
    ) -> tuple[Completion, float]:
        """One model, again while that may help."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        for attempt in range(self._settings.max_retries + 1):
            try:
                answered = await self._pay(call, key, purse, asking)
            except ProviderError as error:
                wait = max(pause * random.uniform(0.5, 1.0), error.retry_after or 0.0)  # noqa: S311  (jitter)
                long = error.retry_after if wait > PATIENCE else None
                self.breakers.failed(call.model, digest, long)
                last = attempt == self._settings.max_retries or wait > PATIENCE
                if not error.retry or last or loop.time() + wait + LEAST_SECONDS > call.deadline:
                    raise
                await asyncio.sleep(wait)
                pause *= 2
                continue
            self.breakers.succeeded(call.model, digest)
            return answered
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _pay(self, call: Call, key: str, purse: Purse, asking: Asking) -> tuple[Completion, float]:
        """One attempt, with its money."""
        price = self.prices.of(call.model)
        texts = [message.content for message in call.messages]
        prompt_tokens = estimate_tokens(texts) + estimate_tokens(
            [msgspec.json.encode(tool).decode() for tool in call.tools]
        )
        amount = price.cost(prompt_tokens, call.max_tokens)
        reservation = await self._money.reserve(purse, amount)
        started = time.perf_counter()
        spent = Spent(asking.turn, asking.purpose, call.model, "interrupted", prompt_tokens)
        try:
            completion = await self._endpoint.complete(call, key)
        except ProviderError as error:
            # A service that had begun to answer may want to be paid for what it had read and said.
            tokens = (prompt_tokens, estimate_tokens((error.text,))) if error.begun else (0, 0)
            spent = msgspec.structs.replace(
                spent,
                outcome=str(error)[:200],
                prompt_tokens=tokens[0],
                completion_tokens=tokens[1],
                cost_usd=price.cost(*tokens) if error.begun else 0.0,
                estimated=error.begun,
            )
            raise
        except BaseException:
            spent = msgspec.structs.replace(
                spent, cost_usd=price.cost(prompt_tokens, call.max_tokens), estimated=True
            )
            raise
        else:
            spent = _spent(spent, completion, price, highest=amount * BELIEVED)
        finally:
            took = time.perf_counter() - started
            spent = msgspec.structs.replace(spent, milliseconds=took * 1000)
            self._tell(spent, took)
            with suppress(Unavailable):  # the reservation stays, and counts as spent
                await asyncio.shield(self._money.settle(purse, reservation, spent))
        return completion, spent.cost_usd

    def _tell(self, spent: Spent, seconds: float) -> None:
        outcome = "answered" if spent.outcome == "answered" else "failed"
        self._metrics.count("orbitbot_ai_calls_total", model=spent.model, outcome=outcome)
        self._metrics.count("orbitbot_ai_tokens_total", spent.prompt_tokens, model=spent.model, kind="prompt")
        self._metrics.count(
            "orbitbot_ai_tokens_total", spent.completion_tokens, model=spent.model, kind="completion"
        )
        self._metrics.count("orbitbot_ai_cost_usd_total", spent.cost_usd, model=spent.model)
        self._metrics.observe("orbitbot_ai_provider_seconds", seconds, model=spent.model)
        for model, state in self.breakers.states().items():
            self._metrics.set("orbitbot_ai_breaker_open", float(state == "open"), model=model)

    def _purse(self, profile: Profile, *, own_key: bool) -> Purse:
        """The client's budget; without one, the operator's for his own key."""
        own = profile.settings
        day, month = own.budget_day_usd, own.budget_month_usd
        if not own_key:
            day = self._budget.day_usd if day is None else day
            month = self._budget.month_usd if month is None else month
        return Purse(profile.client_id, today(profile.timezone, self._now()), own_key, day, month)


def _spent(spent: Spent, completion: Completion, price: ModelPrice, *, highest: float) -> Spent:
    """What a completion cost: as reported, else by the list's price, else by the assumed one.

    A reported cost of nothing is not believed (the price says whether it is), nor is one above `highest`.
    """
    cost = completion.cost_usd
    estimated = not cost or cost > highest > 0
    if cost is None or estimated:
        cost = price.cost(completion.prompt_tokens, completion.completion_tokens)
    return msgspec.structs.replace(
        spent,
        outcome="answered",
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        cost_usd=cost,
        estimated=estimated,
    )
