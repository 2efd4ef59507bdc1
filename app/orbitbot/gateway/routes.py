"""Tokens, messages and turns, and the calls that are passed on to the AI service and the speech pool."""

from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, HeaderParameter, QueryParameter

from orbitbot.clients.accounts import Accounts
from orbitbot.clients.routes import open_client
from orbitbot.clients.service import ClientService
from orbitbot.contracts.auth import TokenRequest, TokenResponse
from orbitbot.contracts.chat import ChatRequest
from orbitbot.contracts.improve_transcription import ImproveTranscription
from orbitbot.contracts.messages import MessageAnswer
from orbitbot.conversations.models import Origin, Turn
from orbitbot.conversations.service import check_id
from orbitbot.foundation import errors
from orbitbot.foundation.bodies import content_type, read_json
from orbitbot.foundation.errors import InvalidInput, MalformedRequest, OrbitBotError, UnsupportedMedia
from orbitbot.foundation.forms import MAX_MULTIPART, read_multipart
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.text import check_strings
from orbitbot.foundation.web import COUNTS_FAILURES, PROBLEM_MEDIA_TYPE, AnyRequest, require
from orbitbot.gateway.access import Policies, shown_generation
from orbitbot.gateway.audio_length import audio_seconds
from orbitbot.gateway.limits import Limiter
from orbitbot.gateway.posts import AUDIO, MAX_TEXT, make_job, read_post, turn_id
from orbitbot.gateway.runner import TurnRunner
from orbitbot.gateway.services import AiService, SpeechService
from orbitbot.gateway.upstream import RefusedError, Upstream

LONGEST_WAIT: Final = 25.0  # seconds
RETRY_AFTER: Final = "1"  # seconds, told with a 202
PASS_ON_SECONDS: Final = 5.0  # for which a service that is away is asked again
_ACCEPTED: Final = 202
_TRANSCRIBE_FIELDS: Final = ("model", "language", "prompt", "client")
_FIELD_LIMIT: Final = 4000  # bytes

# What a turn may have failed of, by the name in front of its reason: a repeated post answers the same.
_FAILURES: Final[dict[str, type[OrbitBotError]]] = {
    kind.problem: kind
    for kind in (errors.MalformedRequest, errors.TooLarge, errors.UnsupportedMedia, errors.Unprocessable)
}


@post("/api/auth/token", status_code=200, summary="An access token", opt={COUNTS_FAILURES: True})
async def token(
    request: AnyRequest,
    accounts: NamedDependency[Accounts],
    limiter: NamedDependency[Limiter],
    policies: NamedDependency[Policies],
) -> TokenResponse:
    """Exchanges an operator's password, or the credential of a bot or integrator, for an access token.

    What fails counts against the caller's address; what succeeds does not.
    """
    address = request.scope["state"]["address"]
    try:
        given = await read_json(request, TokenRequest)
        if given.grant_type == "client_credentials":
            return await accounts.exchange(given, shown_generation(request.scope))
        async with accounts.hashing:
            (await limiter.look(policies.wrong_passwords, address)).enforce()
            try:
                return await accounts.exchange(given)
            except errors.Unauthenticated:
                await limiter.hit(policies.wrong_passwords, address)
                raise
    except errors.TooManyRequests:
        raise
    except OrbitBotError as error:
        if error.status < errors.OrbitBotError.status:
            (await limiter.hit(policies.anonymous, address)).enforce()
        raise


@post(
    "/api/clients/{client_id:str}/messages",
    status_code=200,
    summary="Send a message, get its answer",
    request_max_body_size=MAX_MULTIPART,
)
async def post_message(
    request: AnyRequest,
    client_id: FromPath[str],
    runner: NamedDependency[TurnRunner],
    clients: NamedDependency[ClientService],
    idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
) -> Response[MessageAnswer]:
    """The answer (200), or where to wait for it (202) when it takes longer than 25 s.

    Repeating a post with the same `Idempotency-Key` and body is harmless: it joins the running turn or
    returns the stored answer. The same key with another body is refused (409).
    """
    principal = open_client(request, client_id, "bot", "client", "operator")
    origin: Origin = "bot" if "bot" in principal.scopes else "api"
    turn = turn_id(idempotency_key, origin)
    posted = await read_post(request)
    muted = await clients.is_muted(client_id)
    settled = await runner.post(make_job(client_id, turn, origin, posted, muted=muted))
    if settled is None:
        return _accepted(client_id, turn, await runner.follow(client_id, turn, 0.0))
    _raise_failure(settled)
    return Response(settled.as_answer())


@get("/api/clients/{client_id:str}/turns/{turn:str}", summary="A turn and its answer")
async def read_turn(
    request: AnyRequest,
    client_id: FromPath[str],
    turn: FromPath[str],
    runner: NamedDependency[TurnRunner],
    wait: Annotated[float, QueryParameter(description="seconds to wait for the answer, 0 to 25")] = 0.0,
) -> Response[MessageAnswer]:
    """The turn as it is: 200 once it is settled, 202 before. `interrupted`: post it again."""
    open_client(request, client_id, "bot", "client", "operator")
    check_id(turn, "turn")
    if not 0 <= wait <= LONGEST_WAIT:
        raise InvalidInput("wait", f"{wait} is not between 0 and {LONGEST_WAIT:.0f}")
    found = await runner.follow(client_id, turn, wait)
    return Response(found.as_answer()) if found.is_settled else _accepted(client_id, turn, found)


@post("/api/chat", status_code=200, summary="A one-off question to a client's assistant")
async def chat(request: AnyRequest, ai: NamedDependency[AiService]) -> Response[bytes]:
    """The AI service's answer. Without `turn` nothing of it is stored."""
    require(request, "operator", "client")
    asked = await read_json(request, ChatRequest)
    check_strings(asked)
    check_client_id(asked.client_id)
    require(request, "operator", "client", client_id=asked.client_id)
    _check_text(asked.message, "message")
    return await _pass_on(ai.upstream, "/api/chat", _json(asked))


@post("/api/improve-transcription", status_code=200, summary="Make a transcription readable")
async def improve_transcription(request: AnyRequest, ai: NamedDependency[AiService]) -> Response[bytes]:
    """The same words, made readable; nothing is invented."""
    require(request, "operator", "client")
    asked = await read_json(request, ImproveTranscription)
    check_strings(asked)
    _check_text(asked.transcription, "transcription")
    _check_text(asked.context, "context", may_be_empty=True)
    asked.client_id = _own_client(request, asked.client_id)
    return await _pass_on(ai.upstream, "/api/improve-transcription", _json(asked))


@post(
    "/api/transcribe",
    status_code=200,
    summary="The words in a voice note",
    request_max_body_size=MAX_MULTIPART,
)
async def transcribe(request: AnyRequest, speech: NamedDependency[SpeechService]) -> Response[bytes]:
    """What is heard in the part `audio`."""
    require(request, "operator", "client")
    if content_type(request) != "multipart/form-data":
        raise UnsupportedMedia("this route takes multipart/form-data")
    parts = {part.name: part for part in await read_multipart(request)}
    audio = parts.pop(AUDIO, None)
    if audio is None:
        raise InvalidInput(AUDIO, "this part is missing")
    fields: dict[str, str] = {}
    for name, part in parts.items():
        if name not in _TRANSCRIBE_FIELDS:
            raise InvalidInput(name, f"no such field; allowed: {AUDIO}, {', '.join(_TRANSCRIBE_FIELDS)}")
        if len(part.content) > _FIELD_LIMIT:
            raise InvalidInput(name, f"is longer than {_FIELD_LIMIT} bytes")
        try:
            fields[name] = part.content.decode()
        except UnicodeDecodeError as error:
            raise MalformedRequest(f"{name}: not UTF-8") from error
    fields["client"] = _own_client(request, fields.get("client", ""))
    body = {"data": fields, "files": {AUDIO: (AUDIO, audio.content, audio.media_type)}}
    return await _pass_on(speech.upstream, "/api/transcribe", body, weight=audio_seconds(audio.content))


async def _pass_on(
    upstream: Upstream, path: str, body: dict[str, Any], weight: float = 1.0
) -> Response[bytes]:
    """The service's own answer, a problem document included."""
    try:
        answer = await upstream.post(path, lambda: body, seconds=PASS_ON_SECONDS, weight=weight)
    except RefusedError as refused:
        answer = refused.response
    media_type = answer.headers.get("content-type", PROBLEM_MEDIA_TYPE)
    return Response(answer.content, status_code=answer.status_code, media_type=media_type)


def _json(body: msgspec.Struct) -> dict[str, Any]:
    return {"content": msgspec.json.encode(body), "headers": {"Content-Type": "application/json"}}


def _own_client(request: AnyRequest, named: str) -> str:
    """The client on whose behalf a call is passed on: the token's own, or the one an operator names."""
    principal = require(request, "operator", "client", client_id=named or None)
    return check_client_id(named) if named else principal.client_id or ""


def _check_text(text: str, field: str, *, may_be_empty: bool = False) -> None:
    if not text and not may_be_empty:
        raise InvalidInput(field, "must not be empty")
    if len(text) > MAX_TEXT:
        raise errors.TooLarge(f"{field}: has more than {MAX_TEXT} characters")


def _accepted(client_id: str, turn: str, found: Turn) -> Response[MessageAnswer]:
    location = f"/api/clients/{client_id}/turns/{quote(turn, safe='')}"
    headers = {"Location": location, "Retry-After": RETRY_AFTER}
    return Response(found.as_answer(), status_code=_ACCEPTED, headers=headers)


def _raise_failure(turn: Turn) -> None:
    """Answer a turn that could not be run as what was wrong with it, however often it is posted."""
    problem, _, detail = turn.reason.partition(": ")
    if turn.state == "failed" and problem in _FAILURES:
        raise _FAILURES[problem](detail)


def gateway_routes(
    *,
    accounts: Accounts,
    clients: ClientService,
    limiter: Limiter,
    policies: Policies,
    runner: TurnRunner,
    ai: AiService,
    speech: SpeechService,
) -> Router:
    """The routes of this module, with what they need."""
    needed = {
        "accounts": accounts,
        "clients": clients,
        "limiter": limiter,
        "policies": policies,
        "runner": runner,
        "ai": ai,
        "speech": speech,
    }
    return Router(
        "/",
        route_handlers=[token, post_message, read_turn, chat, improve_transcription, transcribe],
        dependencies={name: _provide(value) for name, value in needed.items()},
    )


def _provide(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
