"""Runs a plugin's code where it can do no harm to the service's event loop, for a limited time.

Each foreign plugin has a thread with an event loop of its own. One that blocks it (a `time.sleep`, an endless
loop) holds up nobody but itself: its call is given up at the time limit, and the thread is left behind and
replaced, a few times. What shares a process cannot be kept from everything: a plugin that crashes the
interpreter takes the worker with it. Operators install plugins; clients only switch them on.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

LEFT_BEHIND: Final = 3  # threads of one plugin that may hang before it is not called any more

log = logging.getLogger(__name__)


class HangsError(Exception):
    """The plugin has left too many threads hanging: it is not called again in this process."""


class _Thread:
    """An event loop in a thread."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.busy = 0
        self._thread = threading.Thread(target=self._run, name=f"plugin-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    async def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Runs in the thread."""
        self.busy += 1
        try:
            result = function(*arguments)
            return await result if inspect.isawaitable(result) else result
        finally:
            self.busy -= 1

    def stop(self) -> None:
        """End it, as soon as whatever it runs lets it."""
        self.loop.call_soon_threadsafe(self.loop.stop)


class Isolated:
    """Runs one plugin's functions.

    Args:
        trusted: built in, and quick: it runs on the service's own event loop.
    """

    def __init__(self, name: str, *, trusted: bool) -> None:
        self._name = name
        self._trusted = trusted
        self._thread: _Thread | None = None
        self._hanging = 0

    async def run(self, function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Any:
        """What the function returns.

        Raises:
            TimeoutError: it took longer.
            HangsError: it has hung too often.
            Exception: whatever it raised.
        """
        if self._trusted:
            async with asyncio.timeout(seconds):
                result = function(*arguments)
                return await result if inspect.isawaitable(result) else result
        if self._hanging >= LEFT_BEHIND:
            raise HangsError(f"{self._hanging} of its threads hang")
        if self._thread is None:
            self._thread = _Thread(self._name)
        thread = self._thread
        future = asyncio.run_coroutine_threadsafe(thread.call(function, arguments), thread.loop)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError:
            if thread is self._thread and await self._hangs(thread):
                self._hanging += 1
                self._thread = None
                thread.stop()
                log.error("a plugin hangs: its thread is left behind", extra={"action": self._name})  # noqa: TRY400
            raise

    @staticmethod
    async def _hangs(thread: _Thread) -> bool:
        """Whether the thread's loop does not even come round to a trifle."""
        loop = asyncio.get_running_loop()
        alive = asyncio.Event()
        thread.loop.call_soon_threadsafe(lambda: loop.call_soon_threadsafe(alive.set))
        try:
            await asyncio.wait_for(alive.wait(), 0.1)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        """Stop the thread."""
        if self._thread is not None:
            self._thread.stop()
