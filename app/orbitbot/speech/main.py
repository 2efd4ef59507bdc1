"""Wires the speech node together and runs it."""

import asyncio
import os
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from litestar import Litestar

from orbitbot.foundation.errors import Unavailable
from orbitbot.foundation.server import serve, when_stopping
from orbitbot.foundation.settings import load_settings, read_secret
from orbitbot.foundation.tokens import TokenVerifier
from orbitbot.foundation.web import BearerMiddleware, health_routes, new_app
from orbitbot.speech.admission import Admission
from orbitbot.speech.allocator import keep_memory
from orbitbot.speech.budget import Budget
from orbitbot.speech.cuda_libraries import load_cuda_libraries
from orbitbot.speech.decoding import AudioDecoder
from orbitbot.speech.forms import OVERHEAD
from orbitbot.speech.gpu import find_gpu
from orbitbot.speech.hardware import Hardware, find_hardware
from orbitbot.speech.metrics import SpeechMetrics
from orbitbot.speech.mirror import fetch_model
from orbitbot.speech.model import RETRY_AFTER, SpeechModel, load_model
from orbitbot.speech.registry import Loader, ModelRegistry
from orbitbot.speech.routes import metrics_route, speech_routes
from orbitbot.speech.scheduler import Scheduler
from orbitbot.speech.service import SpeechService
from orbitbot.speech.settings import SpeechSettings
from orbitbot.speech.sizes import memory_for_models, model_bytes

SERVICE: Final = "speech"


def create_app(settings: SpeechSettings) -> Litestar:
    """The speech node's application; it loads the default model as soon as it runs."""
    verifier = TokenVerifier(read_secret(settings.verify_key_file), audience=SERVICE)
    load_cuda_libraries()
    hardware = find_hardware(settings)
    cores = len(os.sched_getaffinity(0))
    registry = new_registry(settings, hardware)
    decoder = AudioDecoder(settings.decoders or max(2, cores // 8), settings.max_seconds)
    metrics = SpeechMetrics()
    scheduler = Scheduler(hardware, metrics.batch)
    service = SpeechService(
        registry,
        decoder,
        scheduler,
        Admission(
            settings.queue_limit,
            settings.client_limit or max(1, settings.queue_limit // 2),
            hardware.workers * hardware.decode_batch,
        ),
        Budget(settings.decoded_seconds),
        metrics=metrics,
        extractors=settings.extractors or max(2, cores // 2),
        max_bytes=settings.max_bytes,
        answer_seconds=settings.answer_seconds,
    )

    background: list[asyncio.Task[None]] = []
    stopping = asyncio.Event()

    async def check_draining() -> str:
        if stopping.is_set():
            raise Unavailable("stopping: the notes that are held are finished, no others are taken")
        return "takes notes"

    async def load() -> None:
        await registry.keep_default_loaded()
        await registry.preload(settings.preload)

    async def start() -> None:
        background.append(asyncio.create_task(load()))
        background.append(asyncio.create_task(registry.unload_unused()))
        when_stopping(stopping.set)
        await decoder.start()

    async def stop() -> None:
        for task in background:
            task.cancel()
        await asyncio.to_thread(service.close)
        await decoder.close()

    checks = {"model": registry.check, "queue": service.check_queue, "state": check_draining}
    return new_app(
        [
            speech_routes(service),
            metrics_route(service, scheduler, registry, metrics),
            *health_routes(SERVICE, version("orbitbot"), checks),
        ],
        middleware=[BearerMiddleware(verifier)],
        on_startup=[start],
        on_shutdown=[stop],
        body_limit=settings.max_bytes + OVERHEAD,
    )


def new_registry(settings: SpeechSettings, hardware: Hardware) -> ModelRegistry:
    """The models that the settings name, none of them loaded."""
    gpu = find_gpu() if hardware.device == "cuda" else None
    return ModelRegistry(
        {
            name: Loader(
                load=partial(_load, name, Path(directory), settings.mirror, hardware),
                size=partial(model_bytes, Path(directory) / "model.bin", hardware.compute_type),
            )
            for name, directory in settings.models.items()
        },
        settings.default_model,
        memory=settings.model_memory or memory_for_models(hardware.device, gpu.bytes if gpu else 0),
        keep_seconds=settings.keep_seconds,
    )


def _load(name: str, directory: Path, mirror: str, hardware: Hardware) -> SpeechModel:
    if mirror and not (directory / "model.bin").exists():
        try:
            fetch_model(mirror, name, directory)
        except (OSError, ValueError) as error:
            raise Unavailable(f"model {name!r}: {error}", retry_after=RETRY_AFTER) from error
    return load_model(name, directory, hardware)


def build(settings_path: Path) -> Litestar:
    """What each worker process runs."""
    return create_app(load_settings(settings_path, SpeechSettings))


def main(settings_path: Path, *, port: int | None = None) -> int:
    """Serve until SIGTERM, on `port` where one is given.

    Raises:
        SettingsError: the settings or the key they name are not usable.
    """
    settings = load_settings(settings_path, SpeechSettings)
    read_secret(settings.verify_key_file)  # a worker that failed on it would be started again and again
    keep_memory()
    serve(SERVICE, build, settings_path, settings.listen, port)
    return 0
