"""Loading models: once each, again after a failure; unloading them for room and by time."""

import asyncio
import threading
from typing import Any

import pytest

from orbitbot.foundation.errors import InvalidInput, Unavailable
from orbitbot.speech import registry as registry_module
from orbitbot.speech.model import SpeechModel
from orbitbot.speech.registry import Loader, ModelRegistry

DEADLINE = 10.0  # seconds


class Model(SpeechModel):
    """Only a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gone = threading.Event()

    def __str__(self) -> str:
        return f"the {self.name} model"

    @property
    def unloaded(self) -> bool:
        return self.gone.is_set()

    def unload(self) -> None:
        self.gone.set()


MODEL = Model("medium")


class Loads:
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


async def get(models: ModelRegistry, name: str) -> SpeechModel:
    async with models.use(name) as model:
        return model


async def finish(*waiting: asyncio.Future[Any]) -> list[Any]:
    async with asyncio.timeout(DEADLINE):
        return await asyncio.gather(*waiting, return_exceptions=True)


async def test_callers_share_one_load() -> None:
    loader = Loads(hold_at=1)
    models = ModelRegistry({"medium": Loader(loader)}, "medium")

    callers = [asyncio.ensure_future(get(models, "medium")) for _ in range(5)]
    loader.let.set()

    assert await finish(*callers) == [MODEL] * 5
    assert loader.calls == 1


async def test_a_caller_who_gives_up_does_not_end_the_load() -> None:
    loader = Loads(hold_at=1)
    models = ModelRegistry({"medium": Loader(loader)}, "medium")

    first, second = asyncio.ensure_future(get(models, "medium")), asyncio.ensure_future(get(models, "medium"))
    await asyncio.sleep(0)
    first.cancel()
    loader.let.set()

    given_up, loaded = await finish(first, second)
    assert isinstance(given_up, asyncio.CancelledError)
    assert loaded == MODEL


async def test_the_next_call_after_a_failure_tries_again() -> None:
    loader = Loads(failures=1)
    models = ModelRegistry({"medium": Loader(loader)}, "medium")

    with pytest.raises(Unavailable, match="attempt 1"):
        await get(models, "medium")

    assert await get(models, "medium") == MODEL


async def test_an_unknown_model_is_refused_and_the_known_are_named() -> None:
    models = ModelRegistry({"medium": Loader(Loads()), "small": Loader(Loads())}, "medium")

    with pytest.raises(InvalidInput, match="model: 'large' is not served here; allowed: medium, small"):
        await get(models, "large")


async def test_readiness_while_the_model_is_being_loaded() -> None:
    loader = Loads(hold_at=1)
    models = ModelRegistry({"medium": Loader(loader)}, "medium")

    keeping = asyncio.ensure_future(models.keep_default_loaded())
    await loader.wait_until_holding()
    with pytest.raises(Unavailable, match="model 'medium' is being loaded"):
        await models.check()

    loader.let.set()
    await finish(keeping)
    assert await models.check() == "the medium model"


async def test_readiness_says_why_loading_failed_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "LOAD_RETRY", 0.01)
    loader = Loads(failures=2, hold_at=3)
    models = ModelRegistry({"medium": Loader(loader)}, "medium")

    keeping = asyncio.ensure_future(models.keep_default_loaded())
    await loader.wait_until_holding()
    with pytest.raises(Unavailable, match=r"no such directory \(attempt 2\)"):
        await models.check()

    loader.let.set()
    await finish(keeping)
    assert await models.check() == "the medium model"


class Shelf:
    """Models of 100 bytes each, and what became of them."""

    def __init__(self, *names: str, memory: int, keep_seconds: float = 900.0) -> None:
        self.made: list[Model] = []
        loaders = {name: Loader(lambda name=name: self.make(name), lambda: 100) for name in names}  # type: ignore[misc]
        self.registry = ModelRegistry(loaders, names[0], memory=memory, keep_seconds=keep_seconds)

    def make(self, name: str) -> Model:
        self.made.append(Model(name))
        return self.made[-1]


async def test_several_models_stay_while_they_fit() -> None:
    shelf = Shelf("medium", "small", memory=200)

    await get(shelf.registry, "medium")
    await get(shelf.registry, "small")
    await get(shelf.registry, "medium")

    assert shelf.registry.loaded() == ["medium", "small"]
    assert [model.name for model in shelf.made] == ["medium", "small"]


async def test_the_longest_unused_makes_room_and_the_default_never() -> None:
    shelf = Shelf("medium", "small", "base", memory=200)
    await get(shelf.registry, "medium")
    await get(shelf.registry, "small")

    await get(shelf.registry, "base")

    assert shelf.registry.loaded() == ["medium", "base"]
    assert [model.unloaded for model in shelf.made] == [False, True, False]


async def test_a_model_in_use_does_not_make_room() -> None:
    shelf = Shelf("medium", "small", "base", memory=200)
    await get(shelf.registry, "medium")
    async with shelf.registry.use("small"):
        with pytest.raises(Unavailable, match="'base' needs 100 bytes, and of 200 for models 200 are in use"):
            await get(shelf.registry, "base")

    assert (await get(shelf.registry, "base")).name == "base"


async def test_a_model_larger_than_the_memory_is_refused() -> None:
    shelf = Shelf("medium", memory=50)

    with pytest.raises(Unavailable, match="needs 100 bytes"):
        await get(shelf.registry, "medium")


async def test_an_unused_model_is_unloaded_after_its_time_and_the_default_never() -> None:
    shelf = Shelf("medium", "small", memory=200, keep_seconds=0.05)
    sweeping = asyncio.ensure_future(shelf.registry.unload_unused())
    await get(shelf.registry, "medium")
    async with asyncio.timeout(DEADLINE), shelf.registry.use("small"):
        await asyncio.sleep(0.2)  # longer than unused models are kept
        assert shelf.registry.loaded() == ["medium", "small"]

    assert await asyncio.to_thread(shelf.made[1].gone.wait, DEADLINE)
    sweeping.cancel()
    assert shelf.registry.loaded() == ["medium"]
    assert not shelf.made[0].unloaded


async def test_preloading_goes_on_after_a_model_that_cannot_be_loaded() -> None:
    models = ModelRegistry({"medium": Loader(Loads(failures=1)), "small": Loader(Loads())}, "medium")

    await models.preload(["medium", "small"])

    assert models.loaded() == ["small"]
