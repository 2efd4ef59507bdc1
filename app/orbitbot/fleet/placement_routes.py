"""`/api/fleet…`, moves and pauses: where clients run, for operators."""

import logging
from typing import Final

from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from orbitbot.clients.routes import open_client
from orbitbot.clients.service import ClientService
from orbitbot.contracts.clients import ClientView
from orbitbot.contracts.commands import RefreshSettings
from orbitbot.contracts.fleet import (
    BeginMove,
    BotCredentials,
    BotCredentialsMade,
    DrainHost,
    FleetView,
    HostView,
    MoveProgress,
    MoveView,
    PlaceClients,
    Placements,
    SharedConfiguration,
    SharedConfigurationView,
)
from orbitbot.fleet.commands import CommandService
from orbitbot.fleet.moves import Moves
from orbitbot.fleet.pauses import Pauses
from orbitbot.fleet.placement import PlacementService
from orbitbot.fleet.sharing import SharedConfigurations
from orbitbot.foundation.bodies import read_json
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.tokens import Principal
from orbitbot.foundation.web import AnyRequest, require

_INTEGER_LIMIT: Final = 2**63 - 1

log = logging.getLogger(__name__)


@get("/api/fleet", summary="Hosts, clients and moves (operators)")
async def read_fleet(request: AnyRequest, placements: NamedDependency[PlacementService]) -> FleetView:
    """Who runs where and how, what is not as it should be, and the last moves."""
    require(request, "operator")
    return await placements.view()


@post("/api/fleet/placements", status_code=200, summary="Give clients hosts (operators)")
async def place_clients(request: AnyRequest, placements: NamedDependency[PlacementService]) -> Placements:
    """Registers clients and gives each the measured host with the most room; all of them, or none."""
    principal = require(request, "operator")
    given = await placements.place(await read_json(request, PlaceClients))
    for each in given.clients:
        if each.chosen:
            log.info(
                "client placed",
                extra={
                    **_about(each.id, principal, "place"),
                    "host": each.host,
                    "generation": each.generation,
                },
            )
    return given


@post("/api/fleet/credentials", status_code=200, summary="Credentials for bots that lack one (operators)")
async def give_credentials(
    request: AnyRequest, placements: NamedDependency[PlacementService]
) -> BotCredentialsMade:
    """A new credential for each bot whose host holds none in force. The secrets are shown once."""
    principal = require(request, "operator")
    given = await placements.give_credentials(await read_json(request, BotCredentials))
    for client_id, made in given.made.items():
        about = _about(client_id, principal, "add_credential")
        log.info("credential made", extra={**about, "credential_id": made.credential_id})
    return given


@put("/api/fleet/hosts/{name:str}", summary="Have a host get no more bots (operators)")
async def drain_host(
    request: AnyRequest, name: FromPath[str], placements: NamedDependency[PlacementService]
) -> HostView:
    """With `draining` true nothing new is placed there; bots that run there stay until they are moved."""
    principal = require(request, "operator")
    view = await placements.drain(name, await read_json(request, DrainHost))
    if view.changed:
        about = {"by": principal.subject, "action": "drain", "host": name}
        log.info("host drained" if view.draining else "host takes bots again", extra=about)
    return view


@delete("/api/fleet/hosts/{name:str}", status_code=204, summary="Forget a host that is gone (operators)")
async def forget_host(
    request: AnyRequest, name: FromPath[str], placements: NamedDependency[PlacementService]
) -> Response[None]:
    """Refused while clients belong there; harmless when repeated."""
    principal = require(request, "operator")
    if await placements.forget_host(name):
        log.info("host forgotten", extra={"by": principal.subject, "action": "forget_host", "host": name})
    return Response(None, status_code=204)


@get("/api/fleet/configuration", summary="What all clients share (operators)")
async def read_shared(
    request: AnyRequest, shared: NamedDependency[SharedConfigurations]
) -> SharedConfigurationView:
    """Settings and personality of every client that has not chosen otherwise itself."""
    require(request, "operator")
    return await shared.read()


@patch("/api/fleet/configuration", summary="Change what all clients share (operators)")
async def change_shared(
    request: AnyRequest, shared: NamedDependency[SharedConfigurations]
) -> SharedConfigurationView:
    """A difference makes a new version, which every running bot fetches at once, without a restart."""
    principal = require(request, "operator")
    return await shared.change(await read_json(request, SharedConfiguration), author=principal.subject)


@post("/api/clients/{client_id:str}/moves", status_code=200, summary="Begin a move (operators)")
async def begin_move(
    request: AnyRequest, client_id: FromPath[str], moves: NamedDependency[Moves]
) -> MoveView:
    """The client's move to a host, or the one that is under way. playbooks/move-client.yml does the rest."""
    principal = open_client(request, client_id, "operator")
    move = await moves.begin(client_id, await read_json(request, BeginMove), author=principal.subject)
    if move.changed:
        log.info("move begun", extra={**_about(client_id, principal, "move"), **_way(move)})
    return move


@post(
    "/api/clients/{client_id:str}/moves/{number:int}/generation",
    status_code=200,
    summary="The old bot of a move is stopped (operators)",
)
async def raise_generation(
    request: AnyRequest, client_id: FromPath[str], number: FromPath[int], moves: NamedDependency[Moves]
) -> MoveView:
    """Gives the client to the new host, under a higher generation; harmless when repeated."""
    principal = open_client(request, client_id, "operator")
    move = await moves.raise_generation(client_id, _checked(number))
    if move.changed:
        log.info("lease moved", extra={**_about(client_id, principal, "move"), **_way(move)})
    return move


@patch("/api/clients/{client_id:str}/moves/{number:int}", summary="How far a move has come (operators)")
async def move_progress(
    request: AnyRequest, client_id: FromPath[str], number: FromPath[int], moves: NamedDependency[Moves]
) -> MoveView:
    """Stores a move's stage, or turns it back to where the bot came from."""
    principal = open_client(request, client_id, "operator")
    move = await moves.progress(client_id, _checked(number), await read_json(request, MoveProgress))
    if move.changed:
        log.info("move went on", extra={**_about(client_id, principal, "move"), **_way(move)})
    return move


@post("/api/clients/{client_id:str}/pause", status_code=200, summary="Pause a client (operators)")
async def pause_client(
    request: AnyRequest,
    client_id: FromPath[str],
    pauses: NamedDependency[Pauses],
    commands: NamedDependency[CommandService],
    clients: NamedDependency[ClientService],
) -> ClientView:
    """The phone stays linked, messages are recorded as silenced, nobody is answered."""
    return await _set_paused(request, client_id, pauses, commands, clients, paused=True)


@post("/api/clients/{client_id:str}/resume", status_code=200, summary="Let a paused client go on (operators)")
async def resume_client(
    request: AnyRequest,
    client_id: FromPath[str],
    pauses: NamedDependency[Pauses],
    commands: NamedDependency[CommandService],
    clients: NamedDependency[ClientService],
) -> ClientView:
    """Messages are answered again from now on; those of the pause stay silenced. Harmless when repeated."""
    return await _set_paused(request, client_id, pauses, commands, clients, paused=False)


async def _set_paused(
    request: AnyRequest,
    client_id: str,
    pauses: Pauses,
    commands: CommandService,
    clients: ClientService,
    *,
    paused: bool,
) -> ClientView:
    principal = open_client(request, client_id, "operator")
    changed = await pauses.set(client_id, paused=paused)
    if changed:
        clients.forget_muted(client_id)
        log.info(
            "client paused" if paused else "client resumed",
            extra=_about(client_id, principal, "pause" if paused else "resume"),
        )
        await commands.give(client_id, RefreshSettings(), author=principal.subject)
    view = await clients.read(client_id)
    view.changed = changed
    return view


def _checked(number: int) -> int:
    if not 0 < number <= _INTEGER_LIMIT:
        raise InvalidInput("number", f"{number} is not between 1 and {_INTEGER_LIMIT}")
    return number


def _about(client_id: str, principal: Principal, action: str) -> dict[str, str]:
    return {"client_id": client_id, "by": principal.subject, "action": action}


def _way(move: MoveView) -> dict[str, object]:
    return {
        "id": move.id,
        "from": move.from_host,
        "to": move.to_host,
        "stage": move.stage,
        "generation": move.generation,
        "reason": move.reason,
    }


def placement_routes(
    *,
    placements: PlacementService,
    moves: Moves,
    pauses: Pauses,
    shared: SharedConfigurations,
    commands: CommandService,
    clients: ClientService,
) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[
            read_fleet,
            place_clients,
            give_credentials,
            drain_host,
            forget_host,
            read_shared,
            change_shared,
            begin_move,
            raise_generation,
            move_progress,
            pause_client,
            resume_client,
        ],
        dependencies={
            "placements": Provide(lambda: placements, sync_to_thread=False),
            "moves": Provide(lambda: moves, sync_to_thread=False),
            "pauses": Provide(lambda: pauses, sync_to_thread=False),
            "shared": Provide(lambda: shared, sync_to_thread=False),
            "commands": Provide(lambda: commands, sync_to_thread=False),
            "clients": Provide(lambda: clients, sync_to_thread=False),
        },
        tags=["fleet"],
    )
