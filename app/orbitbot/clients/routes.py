"""`/api/clients…`: registering, reading, configuring and removing clients; how their bots are."""

import logging
from typing import Annotated

from litestar import Router, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from orbitbot.clients.accounts import Accounts
from orbitbot.clients.configurations import ConfigurationService
from orbitbot.clients.service import ClientService
from orbitbot.contracts.bot import BotSettings, BotStatus
from orbitbot.contracts.clients import (
    ClientList,
    ClientView,
    CreateCredential,
    CredentialCreated,
    NumberHealth,
    RegisterClient,
)
from orbitbot.contracts.versions import ConfigurationView, PatchClient
from orbitbot.foundation.bodies import read_json
from orbitbot.foundation.errors import NotFound
from orbitbot.foundation.live import Live
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.tokens import Principal
from orbitbot.foundation.web import AnyRequest, require

Service = NamedDependency[ClientService]
AccountsService = NamedDependency[Accounts]

log = logging.getLogger(__name__)


def open_client(request: AnyRequest, client_id: str, *scopes: str) -> Principal:
    """The caller, who has one of `scopes` and may touch `client_id`, which is a valid id.

    Raises:
        Unauthenticated, Forbidden: see `require`.
        InvalidInput: no client can have this id.
    """
    principal = require(request, *scopes, client_id=client_id)
    check_client_id(client_id)
    return principal


@get("/api/clients", summary="All clients (operators)")
async def list_clients(request: AnyRequest, service: Service) -> ClientList:
    """All clients with the last sign of life of their bots, by id."""
    require(request, "operator")
    return await service.list_all()


@put("/api/clients/{client_id:str}", summary="Register a client (operators)")
async def register_client(request: AnyRequest, client_id: FromPath[str], service: Service) -> ClientView:
    """Registers a client, changes what differs, or brings a removed one back; harmless when repeated."""
    principal = open_client(request, client_id, "operator")
    view = await service.register(client_id, await read_json(request, RegisterClient))
    if view.changed:
        log.info("client registered", extra=_about(client_id, principal, "register"))
    return view


@get("/api/clients/{client_id:str}", summary="One client and how its bot is")
async def read_client(request: AnyRequest, client_id: FromPath[str], service: Service) -> ClientView:
    """A client. Its `botState` is `unknown` while there is no sign of life of its bot."""
    principal = open_client(request, client_id, "operator", "client", "bot")
    return await service.read(client_id, whole="bot" not in principal.scopes)


@patch("/api/clients/{client_id:str}", summary="Change a client's configuration")
async def patch_client(
    request: AnyRequest, client_id: FromPath[str], configurations: NamedDependency[ConfigurationService]
) -> ConfigurationView:
    """Changes what is given and keeps the rest; returns the whole. A difference makes a new version."""
    principal = open_client(request, client_id, "operator", "client")
    wanted = await read_json(request, PatchClient)
    view, changed = await configurations.patch(client_id, wanted, author=principal.subject)
    if changed:
        log.info("client configured", extra=_about(client_id, principal, "configure"))
    return view


@delete("/api/clients/{client_id:str}", status_code=200, summary="Remove a client (operators)")
async def remove_client(
    request: AnyRequest,
    client_id: FromPath[str],
    service: Service,
    accounts: AccountsService,
    purge: Annotated[bool, QueryParameter(description="delete its data, too")] = False,  # noqa: FBT002  (HTTP)
) -> ClientView:
    """Revokes all access of the client and its bot. Its data stays, unless `purge`."""
    principal = open_client(request, client_id, "operator")
    view = await service.remove(client_id, purge=purge)
    accounts.forget()
    if view.changed:
        log.info("client removed", extra={**_about(client_id, principal, "remove"), "purge": purge})
    return view


@post("/api/clients/{client_id:str}/credentials", summary="A credential for a bot or integrator (operators)")
async def add_credential(
    request: AnyRequest,
    client_id: FromPath[str],
    service: Service,
    accounts: AccountsService,
) -> CredentialCreated:
    """Makes a credential, which `/api/auth/token` exchanges for access tokens. The secret is shown once."""
    principal = open_client(request, client_id, "operator")
    wanted = await read_json(request, CreateCredential)
    made = await service.add_credential(client_id, wanted)
    if wanted.revoke_earlier:
        accounts.forget()
    about = _about(client_id, principal, "add_credential")
    log.info("credential made", extra={**about, "credential_id": made.credential_id})
    return made


@put("/api/clients/{client_id:str}/bot", summary="How a bot is, and what it runs by (bots)")
async def report_bot(
    request: AnyRequest, client_id: FromPath[str], service: Service, live: NamedDependency[Live]
) -> BotSettings:
    """A bot's sign of life, and in return the settings of its client."""
    open_client(request, client_id, "bot")
    settings, changed = await service.report_bot(client_id, await read_json(request, BotStatus))
    if changed:
        await live.signal(client_id)
    return settings


@get("/api/clients/{client_id:str}/health", summary="How a client's number does")
async def read_health(request: AnyRequest, client_id: FromPath[str], service: Service) -> NumberHealth:
    """What WhatsApp thinks of it, as far as the bot can tell, and what to do about it, in one sentence."""
    open_client(request, client_id, "operator", "client")
    view = await service.read(client_id)
    if view.health is None:
        raise NotFound(f"the bot of client {client_id!r} has given no sign of life yet")
    return view.health


def _about(client_id: str, principal: Principal, action: str) -> dict[str, str]:
    return {"client_id": client_id, "by": principal.subject, "action": action}


def client_routes(
    service: ClientService, accounts: Accounts, configurations: ConfigurationService, live: Live
) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[
            list_clients,
            register_client,
            read_client,
            patch_client,
            remove_client,
            add_credential,
            report_bot,
            read_health,
        ],
        dependencies={
            "service": Provide(lambda: service, sync_to_thread=False),
            "accounts": Provide(lambda: accounts, sync_to_thread=False),
            "configurations": Provide(lambda: configurations, sync_to_thread=False),
            "live": Provide(lambda: live, sync_to_thread=False),
        },
        tags=["clients"],
    )
