"""The models that a node may use: loaded when they are first needed, unloaded when unused or in the way."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from orbitbot.foundation.errors import InvalidInput, Unavailable
from orbitbot.speech.model import RETRY_AFTER, SpeechModel

LOAD_RETRY: Final = 5.0  # seconds between attempts to load the default model
_SWEEP: Final = 0.1  # of the time for which models are kept lies between two looks for unused ones

log = logging.getLogger(__name__)


class Loader(msgspec.Struct, frozen=True):
    """How a model is had.

    Attributes:
        load: loads it; blocks.
        size: bytes of memory that it will take; blocks for a moment; 0 where that is not known.
    """

    load: Callable[[], SpeechModel]
    size: Callable[[], int] = lambda: 0


class _Entry:
    def __init__(self, task: "asyncio.Task[SpeechModel]") -> None:
        self.task = task
        self.size = 0
        self.users = 0
        self.used = time.monotonic()

    @property
    def loaded(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None


class ModelRegistry:
    """Loads models off the event loop and keeps them while they are used and fit.

    Args:
        loaders: name → how that model is had.
        default: the name of the model that `keep_default_loaded` sees to; it is never unloaded.
        memory: bytes that loaded models may take together; 0: no bound.
        keep_seconds: for which an unused model stays.
    """

    def __init__(
        self, loaders: Mapping[str, Loader], default: str, *, memory: int = 0, keep_seconds: float = 900.0
    ) -> None:
        self.default = default
        self._loaders = dict(loaders)
        self._memory = memory
        self._keep_seconds = keep_seconds
        self._entries: dict[str, _Entry] = {}
        self._room = asyncio.Lock()  # one model at a time is made room for
        self._reason = f"model {default!r} is being loaded"  # why the default model is not there

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[SpeechModel]:
        """The model `name`, which is not unloaded while it is used; loads it, or waits for the load.

        Raises:
            InvalidInput: no such model; the detail names those that are allowed.
            Unavailable: it cannot be loaded, or there is no room for it; the detail says why. The next
                call tries again.
        """
        if name not in self._loaders:
            raise InvalidInput(
                "model", f"{name[:80]!r} is not served here; allowed: {', '.join(self._loaders)}"
            )
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = _Entry(asyncio.create_task(self._load(name)))
        entry.users += 1
        try:
            # a caller who gives up must not end the load for the others
            yield await asyncio.shield(entry.task)
        finally:
            entry.users -= 1
            entry.used = time.monotonic()

    async def _load(self, name: str) -> SpeechModel:
        started = time.perf_counter()
        try:
            async with self._room:
                loader = self._loaders[name]
                size = await asyncio.to_thread(loader.size)
                self._make_room(name, size)
                self._entries[name].size = size
                model = await asyncio.to_thread(loader.load)
        except BaseException:
            del self._entries[name]
            raise
        seconds = round(time.perf_counter() - started, 3)
        log.info("model loaded: %s", model, extra={"action": "load-model", "seconds": seconds})
        return model

    def _make_room(self, name: str, size: int) -> None:
        """Unload what is not used, the longest unused first, until `size` bytes fit."""
        if not self._memory:
            return
        others = {key: entry for key, entry in self._entries.items() if key != name}
        taken = sum(entry.size for entry in others.values())
        idle = sorted(
            (entry.used, key)
            for key, entry in others.items()
            if entry.loaded and not entry.users and key != self.default
        )
        for _, key in idle:
            if taken + size <= self._memory:
                break
            taken -= others[key].size
            self._unload(key, "to make room")
        if taken + size > self._memory:
            raise Unavailable(
                f"model {name!r} needs {size} bytes, and of {self._memory} for models {taken} are in use",
                retry_after=RETRY_AFTER,
            )

    def _unload(self, name: str, why: str) -> None:
        self._entries.pop(name).task.result().unload()
        log.info("model unloaded: %s", name, extra={"action": "unload-model", "reason": why})

    async def unload_unused(self) -> None:
        """Unload models that nobody used for `keep_seconds`, for ever."""
        while True:
            await asyncio.sleep(self._keep_seconds * _SWEEP)
            now = time.monotonic()
            for name, entry in list(self._entries.items()):
                unused = entry.loaded and not entry.users and now - entry.used >= self._keep_seconds
                if unused and name != self.default:
                    self._unload(name, "not used")

    async def keep_default_loaded(self) -> None:
        """Load the default model; where that fails, try again until it works."""
        while True:
            try:
                async with self.use(self.default):
                    return
            except Unavailable as error:
                log.warning("model not loaded: %s", error.detail, extra={"action": "load-model"})
                self._reason = error.detail
            await asyncio.sleep(LOAD_RETRY)

    async def preload(self, names: Iterable[str]) -> None:
        """Load further models, one after the other; one that cannot be loaded is logged and left out."""
        for name in names:
            try:
                async with self.use(name):
                    continue
            except Unavailable as error:
                log.warning("model not loaded: %s", error.detail, extra={"action": "load-model"})

    def loaded(self) -> list[str]:
        """Names of the models in memory."""
        return [name for name, entry in self._entries.items() if entry.loaded]

    async def check(self) -> str:
        """Readiness: what the default model is and runs on.

        Raises:
            Unavailable: it is not loaded; the detail says why.
        """
        entry = self._entries.get(self.default)
        if entry is None or not entry.loaded:
            raise Unavailable(self._reason, retry_after=RETRY_AFTER)
        return str(entry.task.result())
