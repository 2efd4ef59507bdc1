"""Runs a Litestar application under Granian: several worker processes, drained on SIGTERM."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from orbitbot.foundation.logs import configure_logging
from orbitbot.foundation.settings import ListenSettings

AppFactory = Callable[[Path], Any]


def serve(service: str, factory: AppFactory, settings_path: Path, listen: ListenSettings) -> None:
    """Serve `factory(settings_path)` until SIGTERM; each worker builds its own application.

    Args:
        factory: a module-level function (workers are spawned, so it is pickled by name).
    """
    configure_logging(service)
    loader = functools.partial(_load, service=service, factory=factory, settings_path=settings_path)
    Server(
        service,
        address=listen.host,
        port=listen.port,
        interface=Interfaces.ASGI,
        workers=listen.workers,
        backlog=1024,
        websockets=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=listen.drain_seconds,
    ).serve(target_loader=loader, wrap_loader=False)


def _load(*_: object, service: str, factory: AppFactory, settings_path: Path) -> Any:
    configure_logging(service)
    return factory(settings_path)
