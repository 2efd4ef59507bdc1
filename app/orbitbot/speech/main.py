"""Wires the speech node together and runs it."""

import asyncio
import functools
from importlib.metadata import version
from pathlib import Path

from litestar import Litestar

from orbitbot.foundation.server import serve
from orbitbot.foundation.settings import load_settings, read_secret
from orbitbot.foundation.tokens import TokenVerifier
from orbitbot.foundation.web import BearerMiddleware, health_routes, new_app
from orbitbot.speech.decoding import AudioDecoder
from orbitbot.speech.forms import OVERHEAD
from orbitbot.speech.model import load_model
from orbitbot.speech.registry import ModelRegistry
from orbitbot.speech.routes import speech_routes
from orbitbot.speech.service import SpeechService
from orbitbot.speech.settings import SpeechSettings

SERVICE = "speech"


def create_app(settings: SpeechSettings) -> Litestar:
    """The speech node's application; it loads the default model as soon as it runs."""
    verifier = TokenVerifier(read_secret(settings.verify_key_file), audience=SERVICE)
    loaders = {
        name: functools.partial(
            load_model,
            name,
            Path(directory),
            device=settings.device,
            compute_type=settings.compute_type,
            cpu_threads=settings.cpu_threads,
            num_workers=settings.num_workers,
        )
        for name, directory in settings.models.items()
    }
    registry = ModelRegistry(loaders, settings.default_model)
    decoder = AudioDecoder(settings.decoders, settings.max_seconds)
    service = SpeechService(
        registry,
        decoder,
        num_workers=settings.num_workers,
        queue_limit=settings.queue_limit,
        max_bytes=settings.max_bytes,
    )

    loading: list[asyncio.Task[None]] = []

    async def start() -> None:
        loading.append(asyncio.create_task(registry.keep_default_loaded()))
        await decoder.start()

    async def stop() -> None:
        for task in loading:
            task.cancel()
        await asyncio.to_thread(service.close)
        await decoder.close()

    checks = {"model": registry.check, "queue": service.check_queue}
    return new_app(
        [speech_routes(service), *health_routes(SERVICE, version("orbitbot"), checks)],
        middleware=[BearerMiddleware(verifier)],
        on_startup=[start],
        on_shutdown=[stop],
        body_limit=settings.max_bytes + OVERHEAD,
    )


def build(settings_path: Path) -> Litestar:
    """What each worker process runs."""
    return create_app(load_settings(settings_path, SpeechSettings))


def main(settings_path: Path) -> int:
    """Serve until SIGTERM.

    Raises:
        SettingsError: the settings or the key they name are not usable.
    """
    settings = load_settings(settings_path, SpeechSettings)
    read_secret(settings.verify_key_file)  # a worker that failed on it would be started again and again
    serve(SERVICE, build, settings_path, settings.listen)
    return 0
