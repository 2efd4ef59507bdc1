"""The models that a node may use: each loaded once, when it is first needed."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from orbitbot.foundation.errors import InvalidInput, Unavailable
from orbitbot.speech.model import RETRY_AFTER, SpeechModel

LOAD_RETRY: Final = 5.0  # seconds between attempts to load the default model

Loader = Callable[[], SpeechModel]

log = logging.getLogger(__name__)


class ModelRegistry:
    """Loads models off the event loop and keeps them.

    Args:
        loaders: name → what loads that model (blocking).
        default: the name of the model that `keep_default_loaded` sees to.
    """

    def __init__(self, loaders: Mapping[str, Loader], default: str) -> None:
        self.default = default
        self._loaders = dict(loaders)
        self._loading: dict[str, asyncio.Task[SpeechModel]] = {}
        self._reason = f"model {default!r} is being loaded"  # why the default model is not there

    async def get(self, name: str) -> SpeechModel:
        """The model `name`; loads it, or waits for the load that is under way.

        Raises:
            InvalidInput: no such model; the detail names those that are allowed.
            Unavailable: it cannot be loaded; the detail says why. The next call tries again.
        """
        if name not in self._loaders:
            raise InvalidInput(
                "model", f"{name[:80]!r} is not served here; allowed: {', '.join(self._loaders)}"
            )
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.create_task(self._load(name))
        return await asyncio.shield(task)  # a caller who gives up must not end the load for the others

    async def _load(self, name: str) -> SpeechModel:
        started = time.perf_counter()
        try:
            model = await asyncio.to_thread(self._loaders[name])
        except BaseException:
            del self._loading[name]
            raise
        seconds = round(time.perf_counter() - started, 3)
        log.info("model loaded: %s", model, extra={"action": "load-model", "seconds": seconds})
        return model

    async def keep_default_loaded(self) -> None:
        """Load the default model; where that fails, try again until it works."""
        while True:
            try:
                await self.get(self.default)
            except Unavailable as error:
                log.warning("model not loaded: %s", error.detail, extra={"action": "load-model"})
                self._reason = error.detail
            else:
                return
            await asyncio.sleep(LOAD_RETRY)

    async def check(self) -> str:
        """Readiness: what the default model is and runs on.

        Raises:
            Unavailable: it is not loaded; the detail says why.
        """
        task = self._loading.get(self.default)
        if task is None or not task.done():
            raise Unavailable(self._reason, retry_after=RETRY_AFTER)
        return str(task.result())
