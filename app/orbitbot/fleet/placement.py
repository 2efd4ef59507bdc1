"""Which client belongs on which host: hosts by measured room, and what the whole fleet looks like."""

from typing import Any, Final

import msgspec

from orbitbot.clients import store as client_store
from orbitbot.clients.accounts import new_credential
from orbitbot.clients.service import ClientService
from orbitbot.contracts.clients import ClientView, CredentialCreated, RegisterClient
from orbitbot.contracts.fleet import (
    BotCredentials,
    BotCredentialsMade,
    DrainHost,
    FleetClient,
    FleetView,
    HostView,
    MeasuredHost,
    NewClient,
    PlaceClients,
    Placement,
    Placements,
)
from orbitbot.fleet import placement_store as store
from orbitbot.fleet.headroom import Hosts, room
from orbitbot.fleet.leases import check_host
from orbitbot.fleet.moves import view_of_move
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import Conflict, InvalidInput, NotFound
from orbitbot.foundation.names import check_client_id

MOVES_SHOWN: Final = 20
# How a bot may be that is as it should be; who is logged out or locked out needs its owner, not an operator.
WELL: Final = frozenset({"connected", "waiting_for_pairing", "restricted", "logged_out", "banned"})
_DEFAULTS: Final = msgspec.to_builtins(RegisterClient())


class PlacementService:
    """Gives clients hosts.

    Args:
        operator_database: of the role that may change clients.
    """

    def __init__(self, clients: ClientService, operator_database: Database) -> None:
        self._clients = clients
        self._operators = operator_database

    async def place(self, wanted: PlaceClients) -> Placements:
        """Register the clients and give each without a host one. All of them, or nobody.

        Raises:
            InvalidInput: an id, language or time zone that cannot be, or one client twice.
            Conflict: there is no room, or a client's bot may still run on another host.
        """
        ids = [check_client_id(client.id) for client in wanted.clients]
        if twice := {each for each in ids if ids.count(each) > 1}:
            raise InvalidInput("clients", f"{min(twice)!r} is there more than once")
        changed = False
        async with self._operators.transaction() as connection:
            await store.lock_placement(connection)
            await store.measured(connection, wanted.hosts)
            known = {client.id: client for client in await client_store.list_all(connection)}
            placed = await store.placed(connection)
            draining = [row.name for row in (await store.hosts(connection)).values() if row.draining]
            hosts = Hosts(wanted.hosts, placed, draining)
            found = []
            for client in wanted.clients:
                present = known.get(client.id)
                register = _registration(client, present)
                new = await self._clients.register_in(connection, client.id, register)
                placement, chosen = await _place(connection, hosts, client)
                changed = changed or new or chosen
                found.append(placement)
        return Placements(clients=found, changed=changed)

    async def give_credentials(self, wanted: BotCredentials) -> BotCredentialsMade:
        """New credentials for the bots whose host holds none in force; their earlier ones are revoked.

        Raises:
            NotFound: there is no such client.
        """
        made: dict[str, CredentialCreated] = {}
        async with self._operators.transaction() as connection:
            in_force = await store.credentials_in_force(connection, list(wanted.held))
            for client_id, held in wanted.held.items():
                if (client_id, held) in in_force:
                    continue
                client = await client_store.lock(connection, check_client_id(client_id))
                if client is None or client.state == "removed":
                    raise NotFound(f"there is no client {client_id!r}")
                credential, secret_hash = new_credential(client_id, "bot")
                await client_store.revoke_credentials(connection, client_id, "bot")
                await client_store.add_credential(
                    connection, credential.credential_id, client_id, "bot", secret_hash
                )
                made[client_id] = credential
        return BotCredentialsMade(made=made, changed=bool(made))

    async def drain(self, name: str, wanted: DrainHost) -> HostView:
        """Have a host get no more bots, or again.

        Raises:
            InvalidInput: no host can have this name.
            NotFound: it comes without a measure, and was never measured or given a bot before.
        """
        check_host(name)
        async with self._operators.transaction() as connection:
            placed = await store.placed(connection)
            if wanted.measure is not None:
                await store.measured(connection, [MeasuredHost(name, wanted.measure)])
            elif name not in await store.hosts(connection) and name not in placed:
                raise NotFound(
                    f"there is no host {name!r}: it was never measured, and no client belongs there"
                )
            changed = await store.drain(connection, name, draining=wanted.draining)
            row = (await store.hosts(connection))[name]
        view = _host_view(row, placed.get(name, 0))
        view.changed = changed
        return view

    async def forget_host(self, name: str) -> bool:
        """Forget a host that is gone; returns whether it was known.

        Raises:
            Conflict: clients belong there.
        """
        async with self._operators.transaction() as connection:
            placed = (await store.placed(connection)).get(name, 0)
            if placed:
                raise Conflict(f"{placed} clients belong on {name}: move them off first")
            return await store.forget_host(connection, name)

    async def view(self) -> FleetView:
        """The whole fleet."""
        clients = (await self._clients.list_all()).clients
        async with self._operators.transaction() as connection:
            hosts = await store.hosts(connection)
            placed = await store.placed(connection)
            generations = await store.bot_generations(connection)
            moves = await store.last_moves(connection, MOVES_SHOWN)
        for name in placed.keys() - hosts.keys():
            hosts[name] = store.HostRow(name, {}, None, draining=False)
        moving = {each.client_id for each in moves if each.finished_at is None}
        return FleetView(
            hosts=[_host_view(row, placed.get(name, 0)) for name, row in sorted(hosts.items())],
            clients=[
                _fleet_client(each, generations.get(each.id, 0), moving=each.id in moving)
                for each in clients
                if each.state != "removed"
            ],
            removed=[each.id for each in clients if each.state == "removed"],
            moves=[view_of_move(each) for each in moves],
        )


async def _place(connection: Connection, hosts: Hosts, wanted: NewClient) -> tuple[Placement, bool]:
    client = await client_store.lock(connection, wanted.id)
    if client is None:
        raise LookupError(f"client {wanted.id!r} was not registered")
    placement = Placement(client.id, client.host, client.generation, client.channel, client.config_version)
    if client.host and wanted.host in ("", client.host) and client.generation > 0:
        return placement, False
    if client.host not in ("", wanted.host) and not wanted.old_host_is_stopped:
        raise Conflict(
            f"client {client.id!r} runs on {client.host}: playbooks/move-client.yml takes it to {wanted.host}"
        )
    placement.host = hosts.choose(wanted.host)
    placement.generation = await store.place(connection, client.id, placement.host)
    placement.chosen = True
    return placement, True


def _registration(wanted: NewClient, present: Any) -> RegisterClient:
    """What is given, else what is registered, else the default."""
    fields = {}
    for field in ("channel", "name", "language", "timezone"):
        given = getattr(wanted, field)
        known = getattr(present, field) if present is not None else _DEFAULTS[field]
        fields[field] = known if given is None else given
    return RegisterClient(**fields)


def _host_view(row: store.HostRow, placed: int) -> HostView:
    measure = row.measured()
    left = room(measure, placed, draining=row.draining)
    return HostView(
        name=row.name,
        clients=placed,
        draining=row.draining,
        measure=measure,
        measured_at=row.measured_at.isoformat() if row.measured_at else None,
        room=left.bots,
        full_because=left.reason,
    )


def _fleet_client(client: ClientView, generation: int, *, moving: bool) -> FleetClient:
    return FleetClient(
        id=client.id,
        state=client.state,
        channel=client.channel,
        host=client.host,
        generation=client.generation,
        bot_state=client.bot_state,
        bot_generation=generation,
        wrong=what_is_wrong(client, generation, moving=moving),
    )


def what_is_wrong(client: ClientView, bot_generation: int, *, moving: bool) -> str:
    """What about a client's bot is not as it should be, in words; empty when all is well."""
    if moving:
        return "a move is under way, or was interrupted: run move-client.yml again"
    if not client.host:
        return "it belongs on no host: run add-client.yml"
    if client.bot_state == "unknown":
        return client.bot_reason or f"its bot on {client.host} was never heard of"
    if bot_generation != client.generation:
        return f"the bot that was last heard of runs on generation {bot_generation}, not {client.generation}"
    if (client.state, client.bot_state) == ("paused", "connected"):
        return "it is paused, and its bot answers"
    well = client.bot_state in WELL or (client.state, client.bot_state) == ("paused", "paused")
    return "" if well else f"its bot is {client.bot_state}: {client.bot_reason}".rstrip(": ")
