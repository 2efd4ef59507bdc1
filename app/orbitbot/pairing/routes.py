"""`/api/clients/{clientId}/pairing…`: codes for programs, and what bots tell."""

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from litestar import Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream

from orbitbot.clients.routes import open_client
from orbitbot.clients.service import ClientService
from orbitbot.contracts.commands import CommandView
from orbitbot.contracts.pairing import PairingEvent, PairingLink, PairingView, RequestPhoneCode
from orbitbot.foundation.bodies import read_json
from orbitbot.foundation.errors import NotFound
from orbitbot.foundation.web import AnyRequest
from orbitbot.pairing.links import PairingLinks
from orbitbot.pairing.service import PairingService

BEAT_SECONDS: Final = 15.0  # between signs that a stream is alive
STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
STREAM_TYPE: Final = "text/event-stream"
BEAT: Final = b": alive\n\n"  # a comment: no browser hands it to the page

Service = NamedDependency[PairingService]
Clients = NamedDependency[ClientService]
IdempotencyKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key")]

log = logging.getLogger(__name__)


@get("/api/clients/{client_id:str}/pairing", summary="Linking a phone: how it stands")
async def read_pairing(
    request: AnyRequest, client_id: FromPath[str], service: Service, clients: Clients
) -> Response[PairingView]:
    """The code to scan or to type, for how many seconds it is valid, and whether a phone is linked."""
    open_client(request, client_id, "operator", "client")
    await clients.read(client_id)
    return Response(await service.read(client_id), headers={"Cache-Control": "no-store"})


@get("/api/clients/{client_id:str}/pairing/qr.svg", summary="The QR code as an image")
async def read_qr(request: AnyRequest, client_id: FromPath[str], service: Service) -> Response[str]:
    """The code that is valid now."""
    open_client(request, client_id, "operator", "client")
    view = await service.read(client_id)
    if not view.svg:
        raise NotFound(f"there is no code to scan at the moment: {view.phase}")
    headers = {"Cache-Control": "no-store", "Refresh": f"{view.seconds_left:.0f}"}
    return Response(view.svg, media_type="image/svg+xml", headers=headers)


@get("/api/clients/{client_id:str}/pairing/events", summary="Linking a phone, live")
async def follow_pairing(
    request: AnyRequest, client_id: FromPath[str], service: Service, clients: Clients
) -> Stream:
    """Server-sent events: `pairing` with the same JSON as `…/pairing`, whenever it changes."""
    open_client(request, client_id, "operator", "client")
    await clients.read(client_id)
    return Stream(_events(service, client_id), media_type=STREAM_TYPE, headers=STREAM_HEADERS)


async def _events(service: PairingService, client_id: str) -> AsyncIterator[bytes]:
    live = service.watch()
    with live.watch(client_id) as watch:
        view = await service.read(client_id)
        yield event("pairing", msgspec.json.encode(view))
        while not live.closing:
            after = await service.next_view(watch, client_id, view, BEAT_SECONDS)
            if after == view or msgspec.structs.replace(after, seconds_left=view.seconds_left) == view:
                yield BEAT
            else:
                yield event("pairing", msgspec.json.encode(after))
            view = after


def event(name: str, data: bytes) -> bytes:
    """One server-sent event."""
    lines = b"".join(b"data: " + line + b"\n" for line in data.split(b"\n"))
    return b"event: " + name.encode() + b"\n" + lines + b"\n"


@post("/api/clients/{client_id:str}/pairing", status_code=202, summary="Ask for QR codes")
async def begin_pairing(
    request: AnyRequest, client_id: FromPath[str], service: Service, key: IdempotencyKey = None
) -> CommandView:
    """A new round of codes; nothing happens while one is under way."""
    principal = open_client(request, client_id, "operator", "client")
    return await service.begin(client_id, author=principal.subject, key=key)


@post("/api/clients/{client_id:str}/pairing/phone-code", status_code=202, summary="Ask for a code to type")
async def request_phone_code(
    request: AnyRequest, client_id: FromPath[str], service: Service, key: IdempotencyKey = None
) -> CommandView:
    """The code then stands in `…/pairing`, until it is typed into the phone or has passed."""
    principal = open_client(request, client_id, "operator", "client")
    wanted = await read_json(request, RequestPhoneCode)
    return await service.request_phone_code(client_id, wanted, author=principal.subject, key=key)


@post(
    "/api/clients/{client_id:str}/pairing/link",
    status_code=201,
    summary="A one-time link to the pairing page",
)
async def create_link(
    request: AnyRequest, client_id: FromPath[str], links: NamedDependency[PairingLinks]
) -> Response[PairingLink]:
    """For whoever holds the phone: 72 hours, one browser. It takes the place of earlier links."""
    principal = open_client(request, client_id, "operator", "client")
    link = await links.create(client_id, author=principal.subject)
    log.info(
        "pairing link made", extra={"client_id": client_id, "by": principal.subject, "action": "pairing"}
    )
    return Response(link, status_code=201, headers={"Cache-Control": "no-store"})


@put("/api/clients/{client_id:str}/bot/pairing", status_code=204, summary="What happens while linking (bots)")
async def report_pairing(request: AnyRequest, client_id: FromPath[str], service: Service) -> Response[None]:
    """A code that is shown, or how it ended. The last word counts."""
    open_client(request, client_id, "bot")
    event_: PairingEvent = await read_json(request, PairingEvent)  # type: ignore[arg-type]  # a union is no type
    await service.report(client_id, event_)
    log.info("pairing", extra={"client_id": client_id, "action": "pairing", "phase": type(event_).__name__})
    return Response(None, status_code=204)


def pairing_routes(service: PairingService, links: PairingLinks, clients: ClientService) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[
            read_pairing,
            read_qr,
            follow_pairing,
            begin_pairing,
            request_phone_code,
            create_link,
            report_pairing,
        ],
        dependencies={
            "service": Provide(lambda: service, sync_to_thread=False),
            "links": Provide(lambda: links, sync_to_thread=False),
            "clients": Provide(lambda: clients, sync_to_thread=False),
        },
        tags=["pairing"],
    )
