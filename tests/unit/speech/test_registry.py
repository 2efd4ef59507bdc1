"""Loading models: once each, off the event loop, again after a failure."""

import asyncio
import threading
from typing import Any, cast

import pytest

from orbitbot.foundation.errors import InvalidInput, Unavailable
from orbitbot.speech import registry as registry_module
from orbitbot.speech.model import SpeechModel
from orbitbot.speech.registry import ModelRegistry

MODEL = cast(SpeechModel, "the medium model")
DEADLINE = 10.0  # seconds


class Loader:
    """Fails as often as it is told to, and stops at the attempt `hold_at` until it is let."""

    def __init__(self, failures: int = 0, hold_at: int = 0) -> None:
        self.calls = 0
        self.failures = failures
        self.hold_at = hold_at
        self.holding = threading.Event()
        self.let = threading.Event()

    def __call__(self) -> SpeechModel:
        self.calls += 1
        if self.calls == self.hold_at:
            self.holding.set()
            if not self.let.wait(DEADLINE):
                raise TimeoutError
        if self.calls <= self.failures:
            raise Unavailable(f"/models/medium: no such directory (attempt {self.calls})")
        return MODEL

    async def wait_until_holding(self) -> None:
        """Wait for the attempt `hold_at`."""
        assert await asyncio.to_thread(self.holding.wait, DEADLINE)


async def finish(*waiting: asyncio.Future[Any]) -> list[Any]:
    async with asyncio.timeout(DEADLINE):
        return await asyncio.gather(*waiting, return_exceptions=True)


async def test_callers_share_one_load() -> None:
    loader = Loader(hold_at=1)
    models = ModelRegistry({"medium": loader}, "medium")

    callers = [asyncio.ensure_future(models.get("medium")) for _ in range(5)]
    loader.let.set()

    assert await finish(*callers) == [MODEL] * 5
    assert loader.calls == 1


async def test_a_caller_who_gives_up_does_not_end_the_load() -> None:
    loader = Loader(hold_at=1)
    models = ModelRegistry({"medium": loader}, "medium")

    first, second = asyncio.ensure_future(models.get("medium")), asyncio.ensure_future(models.get("medium"))
    await asyncio.sleep(0)
    first.cancel()
    loader.let.set()

    given_up, loaded = await finish(first, second)
    assert isinstance(given_up, asyncio.CancelledError)
    assert loaded == MODEL


async def test_the_next_call_after_a_failure_tries_again() -> None:
    loader = Loader(failures=1)
    models = ModelRegistry({"medium": loader}, "medium")

    with pytest.raises(Unavailable, match="attempt 1"):
        await models.get("medium")

    assert await models.get("medium") == MODEL


async def test_an_unknown_model_is_refused_and_the_known_are_named() -> None:
    models = ModelRegistry({"medium": Loader(), "small": Loader()}, "medium")

    with pytest.raises(InvalidInput, match="model: 'large' is not served here; allowed: medium, small"):
        await models.get("large")


async def test_readiness_while_the_model_is_being_loaded() -> None:
    loader = Loader(hold_at=1)
    models = ModelRegistry({"medium": loader}, "medium")

    keeping = asyncio.ensure_future(models.keep_default_loaded())
    await loader.wait_until_holding()
    with pytest.raises(Unavailable, match="model 'medium' is being loaded"):
        await models.check()

    loader.let.set()
    await finish(keeping)
    assert await models.check() == "the medium model"


async def test_readiness_says_why_loading_failed_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "LOAD_RETRY", 0.01)
    loader = Loader(failures=2, hold_at=3)
    models = ModelRegistry({"medium": loader}, "medium")

    keeping = asyncio.ensure_future(models.keep_default_loaded())
    await loader.wait_until_holding()
    with pytest.raises(Unavailable, match=r"no such directory \(attempt 2\)"):
        await models.check()

    loader.let.set()
    await finish(keeping)
    assert await models.check() == "the medium model"
