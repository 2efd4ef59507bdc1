"""`/api/clients/{clientId}/messages/send`: messages that integrators and people send through the bot."""

import logging
from typing import Annotated, Final

from litestar import Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, HeaderParameter

from orbitbot.clients.routes import open_client
from orbitbot.contracts.sending import MAX_FILE, SendRequest, SendView
from orbitbot.conversations.service import check_id
from orbitbot.fleet.sending import SendService
from orbitbot.foundation.bodies import content_type, decode_json
from orbitbot.foundation.errors import InvalidInput, MalformedRequest, UnsupportedMedia
from orbitbot.foundation.forms import read_multipart
from orbitbot.foundation.web import AnyRequest

Service = NamedDependency[SendService]
PAYLOAD: Final = "payload"  # the multipart part with the JSON
FILE: Final = "file"
MAX_BODY: Final = MAX_FILE + 100_000  # bytes

log = logging.getLogger(__name__)


@post(
    "/api/clients/{client_id:str}/messages/send",
    status_code=202,
    summary="Send a message to a contact",
    request_max_body_size=MAX_BODY,
)
async def send_message(
    request: AnyRequest,
    client_id: FromPath[str],
    service: Service,
    key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
) -> SendView:
    """Queues it for the bot, at a pace and within the limits of the number. JSON; or multipart with the JSON
    in the part `payload` and a file in the part `file`. The same `Idempotency-Key` gives the same message.
    """
    principal = open_client(request, client_id, "operator", "client")
    wanted, file = await _read(request)
    view = await service.send(client_id, wanted, file, author=principal.subject, key=key)
    log.info(
        "message queued",
        extra={"client_id": client_id, "by": principal.subject, "action": "send", "send": view.id},
    )
    return view


@get("/api/clients/{client_id:str}/messages/send/{send:str}", summary="How far a sent message has got")
async def read_send(
    request: AnyRequest, client_id: FromPath[str], send: FromPath[str], service: Service
) -> SendView:
    """`queued` → `waiting` → `sent` → `delivered` → `read`, or `failed` with the reason."""
    open_client(request, client_id, "operator", "client")
    check_id(send, "send")
    return await service.read(client_id, send)


@get("/api/clients/{client_id:str}/messages/send/{send:str}/file", summary="The file to send (bots)")
async def read_send_file(
    request: AnyRequest, client_id: FromPath[str], send: FromPath[str], service: Service
) -> Response[bytes]:
    """As it was posted, until the bot has sent it."""
    open_client(request, client_id, "bot")
    check_id(send, "send")
    return Response(await service.read_file(client_id, send), media_type="application/octet-stream")


async def _read(request: AnyRequest) -> tuple[SendRequest, bytes]:
    kind = content_type(request)
    if kind == "application/json":
        return decode_json(await request.body(), SendRequest), b""
    if kind != "multipart/form-data":
        raise UnsupportedMedia("this route takes application/json, or multipart/form-data with a file")
    parts = {part.name: part for part in await read_multipart(request)}
    for name in parts.keys() - {PAYLOAD, FILE}:
        raise InvalidInput(name, f"no such part; allowed: {PAYLOAD}, {FILE}")
    if PAYLOAD not in parts:
        raise MalformedRequest(f"a multipart post has one part {PAYLOAD!r}, which holds the JSON")
    return decode_json(parts[PAYLOAD].content, SendRequest), parts[FILE].content if FILE in parts else b""


def sending_routes(service: SendService) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[send_message, read_send, read_send_file],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        tags=["messages"],
    )
