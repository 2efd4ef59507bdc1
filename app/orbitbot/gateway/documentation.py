"""`/docs`: the API's OpenAPI document and a page that shows it. Everything the page loads is served here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from litestar import Request, Router
from litestar.enums import MediaType, OpenAPIMediaType
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.static_files import create_static_files_router

from orbitbot import __version__
from orbitbot.contracts.auth import TokenRequest
from orbitbot.contracts.bot import BotStatus
from orbitbot.contracts.chat import ChatRequest, ChatResponse
from orbitbot.contracts.clients import CreateCredential, RegisterClient
from orbitbot.contracts.commands import CommandResult
from orbitbot.contracts.configure import ClientSettings, Configure
from orbitbot.contracts.fleet import (
    BeginMove,
    BotCredentials,
    DrainHost,
    MoveProgress,
    PlaceClients,
    SharedConfiguration,
)
from orbitbot.contracts.improve_transcription import ImprovedTranscription, ImproveTranscription
from orbitbot.contracts.journal import JournalExcerpt
from orbitbot.contracts.lease import TakeLease
from orbitbot.contracts.messages import PostMessage
from orbitbot.contracts.pairing import PairingEvent, RequestPhoneCode
from orbitbot.contracts.people import Facts, PauseRequest
from orbitbot.contracts.reports import Reports
from orbitbot.contracts.sending import SendRequest
from orbitbot.contracts.transcribe import Transcription
from orbitbot.contracts.trying import Draft, ProviderKey, QuestionSet, TestChat
from orbitbot.contracts.versions import PatchClient
from orbitbot.foundation.web import PROBLEM_MEDIA_TYPE, ProblemDetails

PATH: Final = "/docs"
_ASSETS: Final = Path(__file__).with_name("assets")
_REF: Final = "#/components/schemas/{name}"

# What Litestar cannot see: bodies, which `foundation.bodies` decodes strictly, and answers that are passed
# on as they come.
_DECODED: Final = (
    TokenRequest,
    RegisterClient,
    CreateCredential,
    Configure,
    ClientSettings,
    BotStatus,
    Reports,
    PostMessage,
    ChatRequest,
    ImproveTranscription,
    *get_args(PairingEvent),
    RequestPhoneCode,
    CommandResult,
    JournalExcerpt,
    TakeLease,
    PatchClient,
    Facts,
    PauseRequest,
    SendRequest,
    TestChat,
    QuestionSet,
    Draft,
    ProviderKey,
    BeginMove,
    BotCredentials,
    DrainHost,
    MoveProgress,
    PlaceClients,
    SharedConfiguration,
)
_PASSED_ON: Final = (ChatResponse, ImprovedTranscription, Transcription)
_FILE: Final = {"type": "string", "contentMediaType": "application/octet-stream"}
_ANSWERS: Final = {
    "/api/chat": ChatResponse,
    "/api/improve-transcription": ImprovedTranscription,
    "/api/transcribe": Transcription,
}
_PROBLEMS: Final = {
    "400": "A field is missing, unknown or has a value that is not allowed; `errors` names it.",
    "401": "No token, a bad one, or a revoked one.",
    "403": "The token does not open this.",
    "429": "Too many requests. `Retry-After` says when to come again.",
    "503": "A service that is needed is away. The same request may be repeated after `Retry-After`.",
}
_PROBLEMS_OF: Final = {
    "/api/clients/{client_id}/messages": {
        "409": "The `Idempotency-Key` was used for another message.",
        "413": "The text or a voice note is too long.",
        "415": "The content type is not supported, or a voice note is not audio.",
        "422": "A voice note cannot be decoded.",
    },
    "/api/clients/{client_id}/messages/send": {
        "409": "The `Idempotency-Key` was used for another message.",
        "413": "The file is too long.",
        "415": "The body is neither JSON nor multipart.",
    },
    "/api/transcribe": {
        "413": "The voice note is too long.",
        "415": "The content is not audio.",
        "422": "The voice note cannot be decoded.",
    },
    "/api/auth/token": {
        "409": "The bot's client has gone to another host: it ends.",
        "415": "The body is not JSON.",
    },
}
_INTRODUCTION: Final = """
Get an access token from `POST /api/auth/token` and send it as `Authorization: Bearer TOKEN`.

Errors are problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)); `type` is stable.
Answers carry `RateLimit-Policy` and `RateLimit`; a request too many is answered 429 with `Retry-After`.
Every write may be repeated; where it would otherwise count twice it takes an `Idempotency-Key`.
"""
_PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self';
 style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>OrbitBot API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="ui"><p>The same as a file: <a href="/docs/openapi.json">openapi.json</a></p></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
"""

AnyRequest = Request[Any, Any, Any]


class _Page(OpenAPIRenderPlugin):
    """The page that people read."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The page; it fetches the document itself."""
        return _PAGE


class _Document(OpenAPIRenderPlugin):
    """The document that programs read."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON)
        self._encoded: bytes | None = None

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The document, made once."""
        if self._encoded is None:
            self._encoded = msgspec.json.encode(complete(openapi_schema))
        return self._encoded


def openapi_config(public_url: str) -> OpenAPIConfig:
    """What Litestar needs to know to write the document."""
    return OpenAPIConfig(
        title="OrbitBot",
        version=__version__,
        description=_INTRODUCTION,
        path=PATH,
        servers=[Server(url=public_url)],
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
        security=[{"bearer": []}],
        render_plugins=[_Page(), _Document()],
    )


def asset_routes() -> Router:
    """The page's scripts and styles (Swagger UI, see `assets/README.md`)."""
    return create_static_files_router(f"{PATH}/assets", directories=[_ASSETS], include_in_schema=False)


def complete(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Litestar's document with bodies, answers and problems that it cannot see."""
    _, components = msgspec.json.schema_components(
        [*_DECODED, *_PASSED_ON, ProblemDetails], ref_template=_REF
    )
    known = schema.get("components", {})
    paths = {
        path: {method: _operation(method, path, operation) for method, operation in item.items()}
        for path, item in schema["paths"].items()
    }
    return {
        **schema,
        "components": {**known, "schemas": {**components, **known.get("schemas", {})}},
        "paths": paths,
    }


def _operation(method: str, path: str, operation: Any) -> Any:
    if not isinstance(operation, dict):
        return operation
    responses = dict(operation.get("responses", {}))
    if path in _ANSWERS:
        responses["200"] = {"description": "The answer", "content": _json(_ANSWERS[path])}
    problems = {**_PROBLEMS, **_PROBLEMS_OF.get(path, {})}
    if "{" in path:
        problems = {**problems, "404": "There is no such thing."}
    responses |= {
        status: {"description": text, "content": _json(ProblemDetails, PROBLEM_MEDIA_TYPE)}
        for status, text in sorted(problems.items())
    }
    changed = {**operation, "responses": responses}
    if (method, path) in _BODIES:
        changed["requestBody"] = {"required": path not in _BODY_OPTIONAL, "content": _BODIES[method, path]}
    if path == "/api/auth/token":
        changed["security"] = []
    return changed


def _json(kind: type, media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(name=kind.__name__)}}}


def _form(properties: dict[str, Any], required: list[str], **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required, **more}
    return {"multipart/form-data": {"schema": schema}}


_BODY_OPTIONAL: Final = {"/api/clients/{client_id}/question-sets/{name}/run"}
_BODIES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("post", "/api/auth/token"): _json(TokenRequest),
    ("put", "/api/clients/{client_id}"): _json(RegisterClient),
    ("post", "/api/clients/{client_id}/credentials"): _json(CreateCredential),
    ("post", "/api/clients/{client_id}/configure"): _json(Configure),
    ("put", "/api/clients/{client_id}/bot"): _json(BotStatus),
    ("put", "/api/clients/{client_id}/bot/pairing"): {
        "application/json": {
            "schema": {
                "oneOf": [{"$ref": _REF.format(name=kind.__name__)} for kind in get_args(PairingEvent)]
            }
        }
    },
    ("post", "/api/clients/{client_id}/reports"): _json(Reports),
    ("post", "/api/clients/{client_id}/journal"): _json(JournalExcerpt),
    ("post", "/api/clients/{client_id}/commands/{command_id}/result"): _json(CommandResult),
    ("put", "/api/clients/{client_id}/lease"): _json(TakeLease),
    ("post", "/api/fleet/placements"): _json(PlaceClients),
    ("post", "/api/fleet/credentials"): _json(BotCredentials),
    ("put", "/api/fleet/hosts/{name}"): _json(DrainHost),
    ("patch", "/api/fleet/configuration"): _json(SharedConfiguration),
    ("post", "/api/clients/{client_id}/moves"): _json(BeginMove),
    ("patch", "/api/clients/{client_id}/moves/{number}"): _json(MoveProgress),
    ("post", "/api/clients/{client_id}/pairing/phone-code"): _json(RequestPhoneCode),
    ("patch", "/api/clients/{client_id}"): _json(PatchClient),
    ("put", "/api/clients/{client_id}/contacts/{contact}/facts"): _json(Facts),
    ("put", "/api/clients/{client_id}/contacts/{contact}/pause"): _json(PauseRequest),
    ("post", "/api/clients/{client_id}/test-chat"): _json(TestChat),
    ("put", "/api/clients/{client_id}/question-sets/{name}"): _json(QuestionSet),
    ("post", "/api/clients/{client_id}/question-sets/{name}/run"): _json(Draft),
    ("put", "/api/clients/{client_id}/provider-key"): _json(ProviderKey),
    ("post", "/api/clients/{client_id}/messages"): _json(PostMessage)
    | _form(
        {"payload": {"$ref": _REF.format(name="PostMessage")}},
        ["payload"],
        additionalProperties=_FILE,
        description="Voice notes are parts named after the `id` of their member, or `audio` without members.",
    ),
    ("post", "/api/clients/{client_id}/messages/send"): _json(SendRequest)
    | _form({"payload": {"$ref": _REF.format(name="SendRequest")}, "file": _FILE}, ["payload"]),
    ("post", "/api/chat"): _json(ChatRequest),
    ("post", "/api/improve-transcription"): _json(ImproveTranscription),
    ("post", "/api/transcribe"): _form(
        {
            "audio": _FILE,
            "model": {"type": "string"},
            "language": {"type": "string", "default": "pt"},
            "prompt": {"type": "string"},
            "client": {"type": "string"},
        },
        ["audio"],
    ),
}
