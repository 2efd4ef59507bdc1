"""Wires the AI service together and serves it: `orbitbot ai --settings FILE`."""

import sys
from pathlib import Path
from typing import Final

import msgspec
from litestar import Litestar

from orbitbot import __version__
from orbitbot.ai.cache import AnswerCache
from orbitbot.ai.effects import Effects
from orbitbot.ai.metrics import DESCRIBED
from orbitbot.ai.money import Money
from orbitbot.ai.own_keys import OwnKeys
from orbitbot.ai.providers.answering import LanguageModels
from orbitbot.ai.providers.keys import KeyFile, Keyring
from orbitbot.ai.providers.selection import Providers
from orbitbot.ai.routes import chat_routes
from orbitbot.ai.sealing import Sealer
from orbitbot.ai.service import ChatService
from orbitbot.ai.settings import AiSettings
from orbitbot.ai.store import Store
from orbitbot.ai.summaries import Summaries
from orbitbot.ai.transcription import TranscriptionService
from orbitbot.ai.trying import Trying
from orbitbot.ai.trying_routes import trying_routes
from orbitbot.foundation.database import Database
from orbitbot.foundation.metrics import Metrics, shared_directory
from orbitbot.foundation.redis import redis_client, redis_pool
from orbitbot.foundation.server import serve
from orbitbot.foundation.settings import load_settings, read_secret
from orbitbot.foundation.tokens import TokenVerifier
from orbitbot.foundation.web import BearerMiddleware, health_routes, new_app
from orbitbot.plugins.manager import Limits, Plugins

SERVICE: Final = "ai"
BODY_LIMIT: Final = 500_000  # bytes; the longest message in 4-byte characters, escaped, is far below


def create_app(settings: AiSettings) -> Litestar:
    """The service's application; connections open when it starts and close when it stops."""
    database = Database(settings.database, SERVICE, trusted_seconds=1.0)
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

    pool = redis_pool(settings.redis_url, settings.redis_password_file) if settings.redis_url else None
    plugins = find_plugins(settings, metrics)
    chats = ChatService(
        store,
        providers,
        plugins,
        cache=AnswerCache(redis_client(pool) if pool else None, metrics),
        effects=Effects(database),
        summaries=Summaries(store, models),
        metrics=metrics,
    )

    trying = Trying(database, store, chats, models)

    async def stop() -> None:
        await trying.close()
        await chats.close()
        plugins.close()
        await providers.close()
        await database.close()
        if pool is not None:
            await pool.disconnect()

    routes = [
        *chat_routes(chats, TranscriptionService(store, models, metrics), plugins),
        *trying_routes(trying, OwnKeys(database, store, sealer)),
        metrics.route(),
        *health_routes(SERVICE, __version__, {"database": database_check, "provider": providers.describe}),
    ]
    return new_app(
        routes,
        middleware=[BearerMiddleware(TokenVerifier(read_secret(settings.verify_key_file), SERVICE))],
        on_startup=[database.open],
        on_shutdown=[stop],
        body_limit=BODY_LIMIT,
    )


def find_plugins(settings: AiSettings, metrics: Metrics) -> Plugins:
    """The built-in plugins and those of the wheels that the operator has installed."""
    for wheel in settings.plugin_wheels:
        if wheel not in sys.path:
            sys.path.append(wheel)  # a wheel of pure Python is imported as it is

    def count(plugin: str, hook: str, outcome: str) -> None:
        metrics.count("orbitbot_ai_plugin_calls_total", plugin=plugin, hook=hook, outcome=outcome)

    limits = Limits(**msgspec.structs.asdict(settings.plugins))
    return Plugins(limits, count)


def app_from_file(settings_path: Path) -> Litestar:
    """What each worker process runs."""
    return create_app(load_settings(settings_path, AiSettings))


def main(settings_path: Path, *, port: int | None = None) -> int:
    """Serve until SIGTERM, on `port` where one is given. Returns the exit status.

    Raises:
        SettingsError: the settings file is not usable.
    """
    settings = load_settings(settings_path, AiSettings)
    serve(SERVICE, app_from_file, settings_path, settings.listen, port)
    return 0
