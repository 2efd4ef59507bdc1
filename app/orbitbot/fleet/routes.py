"""`/api/clients/{clientId}/…`: commands to bots, and leases of hosts."""

import logging
from typing import Annotated, Final

from litestar import Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, HeaderParameter, QueryParameter

from orbitbot.clients.routes import open_client
from orbitbot.contracts.commands import (
    CommandResult,
    Commands,
    CommandView,
    LogOut,
    Order,
    RefreshSettings,
    Restart,
)
from orbitbot.contracts.lease import Lease, TakeLease
from orbitbot.fleet.commands import LONGEST_WAIT, CommandService
from orbitbot.fleet.leases import Leases
from orbitbot.foundation.bodies import read_json
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.web import AnyRequest

Service = NamedDependency[CommandService]
IdempotencyKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key")]

_INTEGER_LIMIT: Final = 2**63 - 1

log = logging.getLogger(__name__)


async def give_command(
    request: AnyRequest,
    service: CommandService,
    client_id: str,
    order: Order,
    *scopes: str,
    key: str | None,
) -> CommandView:
    """Give `order` in the name of the caller, who has one of `scopes`."""
    principal = open_client(request, client_id, *scopes)
    command = await service.give(client_id, order, author=principal.subject, key=key)
    log.info(
        "command given",
        extra={"client_id": client_id, "by": principal.subject, "action": command.kind, "id": command.id},
    )
    return command


@post("/api/clients/{client_id:str}/restart", status_code=202, summary="Restart a bot (operators)")
async def restart(
    request: AnyRequest, client_id: FromPath[str], service: Service, key: IdempotencyKey = None
) -> CommandView:
    """The bot ends and its supervisor starts the next one. Nothing is lost: the journal goes on."""
    return await give_command(request, service, client_id, Restart(), "operator", key=key)


@post("/api/clients/{client_id:str}/logout", status_code=202, summary="End the link with the phone")
async def log_out(
    request: AnyRequest, client_id: FromPath[str], service: Service, key: IdempotencyKey = None
) -> CommandView:
    """The bot leaves the phone's list of linked devices and forgets the session. Pair again to undo it."""
    return await give_command(request, service, client_id, LogOut(), "operator", "client", key=key)


@post("/api/clients/{client_id:str}/refresh", status_code=202, summary="Have a bot fetch its settings now")
async def refresh(
    request: AnyRequest, client_id: FromPath[str], service: Service, key: IdempotencyKey = None
) -> CommandView:
    """Without it, changed settings reach the bot within 15 s."""
    return await give_command(request, service, client_id, RefreshSettings(), "operator", "client", key=key)


@get("/api/clients/{client_id:str}/commands/{command_id:int}", summary="A command and what became of it")
async def read_command(
    request: AnyRequest, client_id: FromPath[str], command_id: FromPath[int], service: Service
) -> CommandView:
    """A command that was given within the last 30 days."""
    open_client(request, client_id, "operator", "client")
    return await service.read(client_id, _checked(command_id))


@get("/api/clients/{client_id:str}/commands", summary="What waits for a bot (bots)")
async def next_commands(
    request: AnyRequest,
    client_id: FromPath[str],
    service: Service,
    wait: Annotated[float, QueryParameter(description="seconds to wait for one, 0 to 25")] = 0.0,
) -> Commands:
    """Unacknowledged commands, oldest first; after `wait` seconds without one, none."""
    open_client(request, client_id, "bot")
    if not 0 <= wait <= LONGEST_WAIT:
        raise InvalidInput("wait", f"{wait} is not between 0 and {LONGEST_WAIT:.0f}")
    return await service.follow(client_id, wait)


@post(
    "/api/clients/{client_id:str}/commands/{command_id:int}/result",
    status_code=204,
    summary="What became of a command (bots)",
)
async def finish_command(
    request: AnyRequest, client_id: FromPath[str], command_id: FromPath[int], service: Service
) -> Response[None]:
    """The acknowledgement; harmless when repeated."""
    open_client(request, client_id, "bot")
    await service.finish(client_id, _checked(command_id), await read_json(request, CommandResult))
    return Response(None, status_code=204)


@put("/api/clients/{client_id:str}/lease", summary="Which host runs the bot (operators)")
async def take_lease(request: AnyRequest, client_id: FromPath[str], leases: NamedDependency[Leases]) -> Lease:
    """The host's lease; harmless when repeated. Another's is taken only when that is stopped for sure."""
    principal = open_client(request, client_id, "operator")
    lease = await leases.take(client_id, await read_json(request, TakeLease))
    if lease.changed:
        log.info(
            "lease taken",
            extra={
                "client_id": client_id,
                "by": principal.subject,
                "action": "lease",
                "host": lease.host,
                "generation": lease.generation,
            },
        )
    return lease


def _checked(command_id: int) -> int:
    if not 0 < command_id <= _INTEGER_LIMIT:
        raise InvalidInput("commandId", f"{command_id} is not between 1 and {_INTEGER_LIMIT}")
    return command_id


def fleet_routes(commands: CommandService, leases: Leases) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[
            restart,
            log_out,
            refresh,
            read_command,
            next_commands,
            finish_command,
            take_lease,
        ],
        dependencies={
            "service": Provide(lambda: commands, sync_to_thread=False),
            "leases": Provide(lambda: leases, sync_to_thread=False),
        },
        tags=["bots"],
    )
