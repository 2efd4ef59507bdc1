"""`/api/clients/{clientId}/…`: a client's configuration, and the versions of it."""

import logging
from typing import Annotated

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from orbitbot.clients.configurations import ConfigurationService
from orbitbot.clients.routes import open_client
from orbitbot.contracts.configure import Configure, Configured
from orbitbot.contracts.versions import Comparison, ConfigurationView, VersionList
from orbitbot.foundation.bodies import read_json
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.tokens import Principal
from orbitbot.foundation.web import AnyRequest

Configurations = NamedDependency[ConfigurationService]

log = logging.getLogger(__name__)


@post("/api/clients/{client_id:str}/configure", status_code=200, summary="Personality and settings")
async def configure_client(
    request: AnyRequest, client_id: FromPath[str], configurations: Configurations
) -> Configured:
    """Changes what is given and keeps the rest; a setting given as null goes back to its default."""
    principal = open_client(request, client_id, "operator", "client")
    wanted = await read_json(request, Configure)
    configured = await configurations.configure(client_id, wanted, author=principal.subject)
    _log(client_id, principal, changed=configured.changed)
    return configured


@get("/api/clients/{client_id:str}/configuration", summary="A client's configuration")
async def read_configuration(
    request: AnyRequest, client_id: FromPath[str], configurations: Configurations
) -> ConfigurationView:
    """Personality and settings as they are in force, defaults included."""
    open_client(request, client_id, "operator", "client")
    return await configurations.present(client_id)


@get("/api/clients/{client_id:str}/versions", summary="Versions of a configuration")
async def list_versions(
    request: AnyRequest,
    client_id: FromPath[str],
    configurations: Configurations,
    before: Annotated[int | None, QueryParameter(description="only versions older than this one")] = None,
) -> VersionList:
    """Who changed what when, newest first."""
    open_client(request, client_id, "operator", "client")
    if before is not None and before < 1:
        raise InvalidInput("before", f"{before} is not a version; allowed: 1 and above")
    return await configurations.versions(client_id, before)


@get("/api/clients/{client_id:str}/versions/{version:int}", summary="One version of a configuration")
async def read_version(
    request: AnyRequest, client_id: FromPath[str], version: FromPath[int], configurations: Configurations
) -> ConfigurationView:
    """Personality and settings as they were."""
    open_client(request, client_id, "operator", "client")
    return await configurations.read(client_id, version)


@get(
    "/api/clients/{client_id:str}/versions/{version:int}/compare/{other:int}",
    summary="What differs between two versions",
)
async def compare_versions(
    request: AnyRequest,
    client_id: FromPath[str],
    version: FromPath[int],
    other: FromPath[int],
    configurations: Configurations,
) -> Comparison:
    """Field by field, and the personality line by line."""
    open_client(request, client_id, "operator", "client")
    return await configurations.compare(client_id, version, other)


@post(
    "/api/clients/{client_id:str}/versions/{version:int}/restore",
    status_code=200,
    summary="Bring a version back",
)
async def restore_version(
    request: AnyRequest, client_id: FromPath[str], version: FromPath[int], configurations: Configurations
) -> ConfigurationView:
    """Makes a version the present one, as a new version; harmless when repeated."""
    principal = open_client(request, client_id, "operator", "client")
    view, changed = await configurations.restore(client_id, version, author=principal.subject)
    _log(client_id, principal, changed=changed)
    return view


def _log(client_id: str, principal: Principal, *, changed: bool) -> None:
    if changed:
        about = {"client_id": client_id, "by": principal.subject, "action": "configure"}
        log.info("client configured", extra=about)


def configuration_routes(configurations: ConfigurationService) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[
            configure_client,
            read_configuration,
            list_versions,
            read_version,
            compare_versions,
            restore_version,
        ],
        dependencies={"configurations": Provide(lambda: configurations, sync_to_thread=False)},
        tags=["configuration"],
    )
