"""The gateway's application and process: the only place where its parts are wired together."""

import asyncio
import os
import secrets
import socket
import time
from pathlib import Path
from typing import Any, Final

from litestar import Litestar, Router, get, route
from litestar.di import Provide
from litestar.params import FromPath
from litestar.response import Redirect
from redis.exceptions import RedisError

from orbitbot import __version__
from orbitbot.clients.accounts import AUDIENCE, Accounts
from orbitbot.clients.configuration_routes import configuration_routes
from orbitbot.clients.configurations import ConfigurationService
from orbitbot.clients.routes import client_routes
from orbitbot.clients.service import ClientService
from orbitbot.contracts.commands import RefreshSettings
from orbitbot.conversations.people import People
from orbitbot.conversations.people_routes import people_routes
from orbitbot.conversations.routes import conversation_routes
from orbitbot.conversations.service import Ledger
from orbitbot.conversations.statistics import Statistics
from orbitbot.dashboard.pages import asset
from orbitbot.dashboard.pair import CountVisit, PairPages, pair_routes
from orbitbot.fleet.commands import CommandCounts, CommandService, OrdersToAll
from orbitbot.fleet.leases import Leases
from orbitbot.fleet.moves import Moves
from orbitbot.fleet.pauses import Pauses
from orbitbot.fleet.placement import PlacementService
from orbitbot.fleet.placement_routes import placement_routes
from orbitbot.fleet.routes import fleet_routes
from orbitbot.fleet.sending import SendService
from orbitbot.fleet.sending_routes import sending_routes
from orbitbot.fleet.sharing import SharedConfigurations
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import NotFound, Unavailable
from orbitbot.foundation.live import Live
from orbitbot.foundation.redis import redis_client, redis_pool
from orbitbot.foundation.server import serve, when_stopping
from orbitbot.foundation.settings import load_settings, read_secret
from orbitbot.foundation.tokens import TokenSigner, TokenVerifier
from orbitbot.foundation.web import AnyRequest, ReadyCheck, health_routes, new_app
from orbitbot.gateway.access import AccessMiddleware, Policies
from orbitbot.gateway.assistant import assistant_routes
from orbitbot.gateway.documentation import PATH, asset_routes, openapi_config
from orbitbot.gateway.forgetting import keep_forgetting
from orbitbot.gateway.limits import Limiter
from orbitbot.gateway.metrics import metrics
from orbitbot.gateway.owner_commands import OwnerCommands
from orbitbot.gateway.routes import gateway_routes
from orbitbot.gateway.runner import TurnRunner
from orbitbot.gateway.services import AiService, SpeechService
from orbitbot.gateway.settings import GatewaySettings
from orbitbot.gateway.transcripts import TranscriptCache
from orbitbot.gateway.upstream import Upstream
from orbitbot.pairing.links import PairingLinks
from orbitbot.pairing.routes import pairing_routes
from orbitbot.pairing.service import PairingService

AUTHOR: Final = "service:gateway"  # of commands that nobody has given by hand
CHECK_SECONDS: Final = 1.0  # for which the result of a readiness check is remembered
_DRAIN_SHARE: Final = 0.5  # of the drain time is given to running turns, the rest to tidying up


def create_app(settings: GatewaySettings) -> Litestar:  # noqa: PLR0915  (it wires everything, line by line)
    """The gateway's Litestar application."""
    worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    signer = TokenSigner(read_secret(settings.signing_key_file))
    verifier = TokenVerifier(read_secret(settings.verify_key_file), AUDIENCE)
    database = Database(settings.database, "gateway")
    operator_database = Database(settings.operator_database, "gateway-operators")
    pool = redis_pool(settings.redis_url, settings.redis_password_file)
    redis = redis_client(pool)
    ai = AiService(Upstream("ai", settings.ai_urls, signer, settings.turns.ai_seconds))
    speech = SpeechService(
        Upstream("speech", settings.speech_urls, signer, settings.turns.speech_seconds),
        TranscriptCache(redis),
    )

    live = Live(redis)
    accounts = Accounts(database, operator_database, signer)
    clients = ClientService(database, operator_database)
    ledger = Ledger(database, worker, settings.turns.claim_seconds)
    commands = CommandService(database, live)
    people = People(database, redis, commands)
    statistics = Statistics(database)
    configurations = ConfigurationService(
        database, ai.check_plugins, lambda client: commands.give(client, RefreshSettings(), author=AUTHOR)
    )
    sending = SendService(database, live)
    pairing = PairingService(database, live, commands)
    links = PairingLinks(database, settings.public_url)
    limiter = Limiter(pool)
    policies = Policies(settings.limits)
    runner = TurnRunner(
        ledger=ledger,
        clients=clients,
        ai=ai,
        speech=speech,
        settings=settings.turns,
        turns_in_flight=settings.limits.turns_in_flight,
        owner=OwnerCommands(
            database,
            clients=clients,
            configurations=configurations,
            people=people,
            statistics=statistics,
            ai=ai,
        ),
    )

    async def check_database() -> str:
        await database.ping()
        return "answers"

    async def check_redis() -> str:
        try:
            await redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            return f"away ({type(error).__name__}): each worker limits for itself"
        return "answers"

    async def check_speech() -> str:
        try:
            return await speech.upstream.ready()
        except Unavailable as error:
            return f"{error.detail}: voice notes wait"

    draining: set[asyncio.Task[None]] = set()
    forgetting: list[asyncio.Task[None]] = []

    def drain() -> None:
        live.close()
        draining.add(asyncio.create_task(runner.drain(settings.listen.drain_seconds * _DRAIN_SHARE)))

    async def start() -> None:
        await database.open()
        await operator_database.open()
        live.start()
        speech.upstream.watch()
        when_stopping(drain)
        forgetting.append(asyncio.create_task(keep_forgetting(operator_database)))

    async def stop() -> None:
        drain()
        forgetting.pop().cancel()
        await asyncio.gather(*draining)
        await live.stop()
        await ai.upstream.close()
        await speech.upstream.close()
        await database.close()
        await operator_database.close()
        await pool.disconnect()

    checks = {
        "database": check_database,
        "redis": check_redis,
        "ai": ai.upstream.ready,
        "speech": check_speech,
    }
    return new_app(
        [
            *health_routes(
                "gateway", __version__, {name: remembered(check) for name, check in checks.items()}
            ),
            client_routes(clients, accounts, configurations, live),
            configuration_routes(configurations),
            fleet_routes(commands, Leases(operator_database)),
            sending_routes(sending),
            placement_routes(
                placements=PlacementService(clients, operator_database),
                moves=Moves(operator_database),
                pauses=Pauses(operator_database),
                shared=SharedConfigurations(operator_database, OrdersToAll(operator_database, live)),
                commands=commands,
                clients=clients,
            ),
            pairing_routes(pairing, links, clients),
            people_routes(people),
            assistant_routes(ai),
            conversation_routes(ledger, people, statistics, database),
            gateway_routes(
                accounts=accounts,
                clients=clients,
                limiter=limiter,
                policies=policies,
                runner=runner,
                ai=ai,
                speech=speech,
            ),
            pair_routes(
                PairPages(
                    links,
                    pairing,
                    clients,
                    visit_counter(limiter, policies),
                    secure=settings.public_url.startswith("https://"),
                )
            ),
            asset,
            Router(
                "/",
                route_handlers=[metrics],
                dependencies={
                    "clients": Provide(lambda: clients, sync_to_thread=False),
                    "command_counts": Provide(lambda: CommandCounts(operator_database), sync_to_thread=False),
                },
            ),
            asset_routes(),
            index,
            nothing_here,
        ],
        middleware=[
            AccessMiddleware(
                verifier=verifier,
                accounts=accounts,
                limiter=limiter,
                policies=policies,
                trusted_proxies=settings.trusted_proxies,
            )
        ],
        on_startup=[start],
        on_shutdown=[stop],
        openapi=openapi_config(settings.public_url),
    )


def visit_counter(limiter: Limiter, policies: Policies) -> CountVisit:
    """Counts visits of the pairing page: a known link's for itself, others against their address."""

    async def count(who: str, known: bool) -> None:  # noqa: FBT001  (a callback of two kinds)
        (await limiter.hit(policies.pairing_link if known else policies.anonymous, who)).enforce()

    return count


def remembered(check: ReadyCheck) -> ReadyCheck:
    """`check`, asked at most once a second: anybody may ask whether we are ready, at any rate."""
    result: str | Exception = ""
    known_until = 0.0

    async def asked() -> str:
        nonlocal result, known_until
        if time.monotonic() >= known_until:
            try:
                result = await check()
            except Exception as error:  # noqa: BLE001  (kept for those who ask within the second)
                result = error
            known_until = time.monotonic() + CHECK_SECONDS
        if isinstance(result, Exception):
            raise result
        return result

    return asked


@get("/", include_in_schema=False, sync_to_thread=False)
def index() -> Redirect:
    """Whoever opens the bare address gets the documentation."""
    return Redirect(PATH)


@route(
    "/{rest:path}",
    http_method=["GET", "POST", "PUT", "PATCH", "DELETE"],
    include_in_schema=False,
    sync_to_thread=False,
)
def nothing_here(request: AnyRequest, rest: FromPath[str]) -> dict[str, Any]:  # noqa: ARG001
    """Every other path, so that it is limited like the rest."""
    raise NotFound("there is nothing at this address; see /docs")


def application(settings_path: Path) -> Litestar:
    """The application of one worker process."""
    return create_app(load_settings(settings_path, GatewaySettings))


def main(settings_path: Path, *, port: int | None = None) -> int:
    """Serve until SIGTERM, on `port` where one is given.

    Raises:
        SettingsError: the settings, or a file that they name, are missing or wrong.
    """
    settings = load_settings(settings_path, GatewaySettings)
    for path in (settings.signing_key_file, settings.verify_key_file, settings.redis_password_file,
                 settings.database.password_file, settings.operator_database.password_file):  # fmt: skip
        if path:
            read_secret(path)
    serve("gateway", application, settings_path, settings.listen, port)
    return 0
