"""Wires the AI service together and serves it: `orbitbot ai --settings FILE`."""

from pathlib import Path
from typing import Final

from litestar import Litestar

from orbitbot import __version__
from orbitbot.ai.metrics import DESCRIBED
from orbitbot.ai.money import Money
from orbitbot.ai.providers.answering import LanguageModels
from orbitbot.ai.providers.keys import KeyFile, Keyring
from orbitbot.ai.providers.selection import Providers
from orbitbot.ai.routes import chat_routes
from orbitbot.ai.sealing import Sealer
from orbitbot.ai.service import ChatService
from orbitbot.ai.settings import AiSettings
from orbitbot.ai.store import Store
from orbitbot.ai.transcription import TranscriptionService
from orbitbot.foundation.database import Database
from orbitbot.foundation.metrics import Metrics, shared_directory
from orbitbot.foundation.server import serve
from orbitbot.foundation.settings import load_settings, read_secret
from orbitbot.foundation.tokens import TokenVerifier
from orbitbot.foundation.web import BearerMiddleware, health_routes, new_app
from orbitbot.plugins.manager import new_plugin_manager

SERVICE: Final = "ai"
BODY_LIMIT: Final = 500_000  # bytes; the longest message in 4-byte characters, escaped, is far below


def create_app(settings: AiSettings) -> Litestar:
    """The service's application; connections open when it starts and close when it stops."""
    database = Database(settings.database, SERVICE)
    metrics = Metrics(DESCRIBED, shared_directory(SERVICE) if settings.listen.workers > 1 else None)
    sealer = Sealer(read_secret(settings.sealing_secret_file)) if settings.sealing_secret_file else None
    keyring = Keyring(KeyFile(settings.provider.api_key_file), sealer)
    models = LanguageModels(
        settings.provider, settings.budget, keyring=keyring, money=Money(database), metrics=metrics
    )
    providers = Providers(settings.provider, keyring=keyring, models=models, metrics=metrics)
    store = Store(database)

    async def database_check() -> str:
        await database.ping()
        return "reachable"

    routes = [
        *chat_routes(
            ChatService(store, providers, new_plugin_manager()), TranscriptionService(store, models)
        ),
        metrics.route(),
        *health_routes(SERVICE, __version__, {"database": database_check, "provider": providers.describe}),
    ]
    return new_app(
        routes,
        middleware=[BearerMiddleware(TokenVerifier(read_secret(settings.verify_key_file), SERVICE))],
        on_startup=[database.open],
        on_shutdown=[providers.close, database.close],
        body_limit=BODY_LIMIT,
    )


def app_from_file(settings_path: Path) -> Litestar:
    """What each worker process runs."""
    return create_app(load_settings(settings_path, AiSettings))


def main(settings_path: Path) -> int:
    """Serve until SIGTERM. Returns the exit status.

    Raises:
        SettingsError: the settings file is not usable.
    """
    settings = load_settings(settings_path, AiSettings)
    serve(SERVICE, app_from_file, settings_path, settings.listen)
    return 0
