"""What models cost and how much they read, from the service's own list (`GET {base_url}/models`).

A process that has not read the list yet, and a model that is not on it, count with the operator's assumed
prices: money is set aside for every call, known price or not.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from orbitbot.ai.providers.base import ProviderError
from orbitbot.ai.settings import ProviderSettings

FRESH_SECONDS: Final = 6 * 3600.0
RETRY_SECONDS: Final = 60.0
HIGHEST_PRICE: Final = 0.01  # USD for one token; a higher one is not believed
HIGHEST_FEE: Final = 1.0  # USD for one call
LARGEST_CONTEXT: Final = 20_000_000  # tokens
ASSUMED_CONTEXT: Final = 16_000  # tokens of a model that is not on the list
MILLION: Final = 1_000_000.0

log = logging.getLogger(__name__)

Fetch = Callable[[], Awaitable[bytes]]


class ModelPrice(msgspec.Struct, frozen=True):
    """USD for one token, and how many tokens prompt and answer may have together."""

    prompt: float
    completion: float
    context_tokens: int
    request: float = 0.0  # USD for the call itself

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """USD of a call."""
        return self.request + self.prompt * prompt_tokens + self.completion * completion_tokens


class PriceList:
    """The list, read when it is first needed and again when it is old; nobody waits for it."""

    def __init__(self, settings: ProviderSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._assumed = ModelPrice(
            settings.assumed_prompt_usd_per_million / MILLION,
            settings.assumed_completion_usd_per_million / MILLION,
            ASSUMED_CONTEXT,
        )
        self._now = now
        self._known: dict[str, ModelPrice] = {}
        self._next = -math.inf
        self._reading: asyncio.Task[None] | None = None

    def of(self, model: str) -> ModelPrice:
        """The model's price, or the assumed one."""
        return self._known.get(model, self._assumed)

    def knows(self, model: str) -> bool:
        """Whether the list has this model."""
        return model in self._known

    @property
    def models(self) -> dict[str, ModelPrice]:
        """What the list has; empty as long as it has not been read."""
        return self._known

    def refresh(self, fetch: Fetch) -> None:
        """Begin to read the list, if it is time to."""
        if self._now() < self._next or (self._reading is not None and not self._reading.done()):
            return
        self._next = self._now() + RETRY_SECONDS
        self._reading = asyncio.create_task(self._read(fetch))

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, fetch: Fetch) -> None:
        try:
            self._known = parse(await fetch())
        except ProviderError as error:
            log.warning("the list of models cannot be read: %s", error, extra={"action": "read_prices"})
            return
        self._next = self._now() + FRESH_SECONDS


class _Entry(msgspec.Struct):
    id: str
    pricing: dict[str, Any] | None = None
    context_length: int | None = None


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


def parse(body: bytes) -> dict[str, ModelPrice]:
    """Model → price, of every entry that names believable ones.

    Raises:
        ProviderError: it is not a list of models.
    """
    try:
        entries = msgspec.json.decode(body, type=_List).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError("bad answer: not a list of models") from error
    found: dict[str, ModelPrice] = {}
    for raw in entries:
        try:
            entry = msgspec.json.decode(raw, type=_Entry)
        except (msgspec.MsgspecError, RecursionError):
            continue
        pricing = entry.pricing or {}
        prompt, completion = _price(pricing.get("prompt")), _price(pricing.get("completion"))
        context = entry.context_length or ASSUMED_CONTEXT
        if prompt is None or completion is None or not 0 < context <= LARGEST_CONTEXT:
            continue
        request = _price(pricing.get("request", 0), HIGHEST_FEE)
        found[entry.id] = ModelPrice(prompt, completion, context, request or 0.0)
    return found


def _price(value: object, highest: float = HIGHEST_PRICE) -> float | None:
    try:
        price = float(value)  # type: ignore[arg-type]  # a wrong type is one of the errors
    except (TypeError, ValueError):
        return None
    return price if math.isfinite(price) and 0 <= price <= highest else None
