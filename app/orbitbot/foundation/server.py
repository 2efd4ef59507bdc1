"""Runs a Litestar application under Granian: several worker processes, drained on SIGTERM."""

import asyncio
import functools
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from orbitbot.foundation.logs import configure_logging
from orbitbot.foundation.processes import die_with_parent
from orbitbot.foundation.settings import ListenSettings

AppFactory = Callable[[Path], Any]


def serve(
    service: str,
    factory: AppFactory,
    settings_path: Path,
    listen: ListenSettings,
    port: int | None = None,
) -> None:
    """Serve `factory(settings_path)` until SIGTERM; each worker builds its own application.

    It also ends, as after SIGTERM, when the process that started it ends.

    Args:
        factory: a module-level function (workers are spawned, so it is pickled by name).
        port: where it listens in place of `listen.port`.

    Raises:
        ParentGone: the process that started it has ended already.
    """
    configure_logging(service)
    die_with_parent(os.getppid())
    loader = functools.partial(
        _load, service=service, factory=factory, settings_path=settings_path, parent=os.getpid()
    )
    Server(
        service,
        address=listen.host,
        port=port or listen.port,
        interface=Interfaces.ASGI,
        workers=listen.workers,
        backlog=1024,
        websockets=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=listen.drain_seconds,
    ).serve(target_loader=loader, wrap_loader=False)


def _load(*_: object, service: str, factory: AppFactory, settings_path: Path, parent: int) -> Any:
    die_with_parent(parent, signal.SIGKILL)  # a worker without its main process would serve for ever
    configure_logging(service)
    application = factory(settings_path)
    # What is there now stays: looking through it again and again would stop every request for tens of ms.
    gc.collect()
    gc.freeze()
    return application


def when_stopping(callback: Callable[[], None]) -> None:
    """Call `callback` on this worker's event loop as soon as SIGTERM comes; call this in `on_startup`.

    `on_shutdown` is too late for whoever keeps requests waiting: it runs when the last of them is answered.
    The server's own handler, which hangs on the loop's wake-up descriptor, is called as well.
    """
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, on_signal)
