"""The server in a thread of this process, scripted by plain calls."""

import asyncio
import functools
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.whatsapp.boundary import environment
from tests.whatsapp.core import Core
from tests.whatsapp.script import Script


class WhatsApp:
    """A running server; has every method of `Script`.

    Args:
        host: the address to listen on.
        port: of the HTTP proxy; 0 for any.

    Attributes:
        core: the server itself. Its parts belong to the server's thread.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._directory = tempfile.TemporaryDirectory(prefix="whatsapp-")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="whatsapp server", daemon=True)
        self._thread.start()
        self.core: Core = self.call(lambda: Core(Path(self._directory.name)))
        self._script = Script(self.core)
        listening = asyncio.run_coroutine_threadsafe(self.core.listen(host, port), self._loop)
        self.port = listening.result(10)

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment so that its neonize comes here."""
        return environment(
            f"http://{self._host}:{self.port}", self.core.authority, self.core.keys.root.public
        )

    def close(self) -> None:
        """End the server and its thread."""
        asyncio.run_coroutine_threadsafe(self.core.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._directory.cleanup()

    def call(self, function: Any) -> Any:
        """Call something on the server's thread; returns what it returns, raises what it raises."""

        async def calling() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(calling(), self._loop).result(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._script, name)

        @functools.wraps(method)
        def call(*positional: Any, **named: Any) -> Any:
            return self.call(functools.partial(method, *positional, **named))

        return call
