"""`/api/clients/{clientId}/…`: one contact's data, paused chats, events, money."""

import logging
from datetime import datetime
from typing import Annotated

from litestar import Router, delete, get, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from orbitbot.clients.routes import open_client
from orbitbot.contracts.people import (
    AdminCommandList,
    ContactData,
    Erased,
    EventList,
    Facts,
    Pause,
    PauseList,
    PauseRequest,
    Spending,
)
from orbitbot.conversations.people import People
from orbitbot.foundation.bodies import read_json
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.web import AnyRequest

PeopleService = NamedDependency[People]

log = logging.getLogger(__name__)


@get("/api/clients/{client_id:str}/contacts/{contact:str}", summary="Everything that is kept of a contact")
async def export_contact(
    request: AnyRequest, client_id: FromPath[str], contact: FromPath[str], people: PeopleService
) -> ContactData:
    """A person's right of access: turns, messages, exchanges, notes, summary, events."""
    open_client(request, client_id, "operator", "client")
    return await people.export(client_id, contact)


@delete(
    "/api/clients/{client_id:str}/contacts/{contact:str}", status_code=200, summary="Erase a contact for good"
)
async def erase_contact(
    request: AnyRequest, client_id: FromPath[str], contact: FromPath[str], people: PeopleService
) -> Erased:
    """A person's right to be forgotten. Counts stay; nothing in them leads to a person. Cannot be undone."""
    principal = open_client(request, client_id, "operator", "client")
    return await people.erase(client_id, contact, principal.subject)


@put("/api/clients/{client_id:str}/contacts/{contact:str}/facts", summary="What to know of a contact")
async def set_facts(
    request: AnyRequest, client_id: FromPath[str], contact: FromPath[str], people: PeopleService
) -> Facts:
    """In place of what was noted before; an empty list forgets it."""
    principal = open_client(request, client_id, "operator", "client")
    return await people.set_facts(client_id, contact, await read_json(request, Facts), principal.subject)


@put("/api/clients/{client_id:str}/contacts/{contact:str}/pause", summary="Take a chat over")
async def pause_chat(
    request: AnyRequest, client_id: FromPath[str], contact: FromPath[str], people: PeopleService
) -> Pause:
    """The assistant is silent in this chat, for some minutes or until it is resumed."""
    principal = open_client(request, client_id, "operator", "client")
    return await people.pause(client_id, contact, await read_json(request, PauseRequest), principal.subject)


@delete(
    "/api/clients/{client_id:str}/contacts/{contact:str}/pause",
    status_code=200,
    summary="Hand a chat back to the assistant",
)
async def resume_chat(
    request: AnyRequest, client_id: FromPath[str], contact: FromPath[str], people: PeopleService
) -> dict[str, bool]:
    """Whether it was paused; harmless when it was not."""
    open_client(request, client_id, "operator", "client")
    return {"resumed": await people.resume(client_id, contact)}


@get("/api/clients/{client_id:str}/pauses", summary="Chats that a person has taken over")
async def list_pauses(request: AnyRequest, client_id: FromPath[str], people: PeopleService) -> PauseList:
    """The latest first."""
    open_client(request, client_id, "operator", "client")
    return await people.pauses(client_id)


@get("/api/clients/{client_id:str}/events", summary="What the client's people should know")
async def list_events(
    request: AnyRequest,
    client_id: FromPath[str],
    people: PeopleService,
    after: Annotated[int, QueryParameter(description="only events after this one")] = 0,
) -> EventList:
    """A contact asks for a person, the budget is used up … Oldest first, at most 100."""
    open_client(request, client_id, "operator", "client")
    if not 0 <= after < 2**63:
        raise InvalidInput("after", f"{after} is not an event's id")
    return await people.events(client_id, after)


@get("/api/clients/{client_id:str}/admin-commands", summary="What admin numbers have commanded in the chat")
async def list_admin_commands(
    request: AnyRequest,
    client_id: FromPath[str],
    people: PeopleService,
    before: Annotated[str, QueryParameter(description="only commands before this time (RFC 3339)")] = "",
) -> AdminCommandList:
    """The newest first, at most 100."""
    open_client(request, client_id, "operator", "client")
    try:
        moment = datetime.fromisoformat(before) if before else None
    except ValueError as error:
        raise InvalidInput("before", f"{before!r} is not a time such as 2026-11-30T12:00:00Z") from error
    if moment is not None and moment.tzinfo is None:
        raise InvalidInput("before", f"{before!r} has no time zone: end it with Z")
    return await people.admin_commands(client_id, moment)


@get("/api/clients/{client_id:str}/spending", summary="Tokens and money")
async def read_spending(
    request: AnyRequest,
    client_id: FromPath[str],
    people: PeopleService,
    days: Annotated[int, QueryParameter(description="days in the client's time zone, 1 to 366")] = 30,
) -> Spending:
    """By day and model, and how much of the day's and month's budget is gone."""
    open_client(request, client_id, "operator", "client")
    return await people.spending(client_id, days)


def people_routes(people: People) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[
            export_contact,
            erase_contact,
            set_facts,
            pause_chat,
            resume_chat,
            list_pauses,
            list_events,
            list_admin_commands,
            read_spending,
        ],
        dependencies={"people": Provide(lambda: people, sync_to_thread=False)},
        tags=["contacts"],
    )
