"""What a client does with its assistant beside conversations: the AI service does it, the gateway lets it."""

from typing import Any, Final

import msgspec
from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from orbitbot.clients.routes import open_client
from orbitbot.contracts.plugins import PluginList
from orbitbot.contracts.trying import (
    Draft,
    ForClient,
    ProviderKey,
    ProviderKeyView,
    QuestionRun,
    QuestionRuns,
    QuestionSet,
    QuestionSets,
    SetName,
    TestChat,
    TestChatAnswer,
)
from orbitbot.foundation.bodies import decode_json, read_json
from orbitbot.foundation.errors import InvalidInput, MalformedRequest
from orbitbot.foundation.tokens import Principal
from orbitbot.foundation.web import PROBLEM_MEDIA_TYPE, AnyRequest, require
from orbitbot.gateway.services import AiService
from orbitbot.gateway.upstream import RefusedError

SECONDS: Final = 5.0  # for which an AI service that is away is asked again
_JSON: Final = {"Content-Type": "application/json"}
_SET_NAME: Final = "1 to 50 lower-case letters, digits and hyphens, starting with a letter or digit"

Ai = NamedDependency[AiService]


async def _ask(ai: AiService, action: str, asked: ForClient) -> Response[Any]:
    """The AI service's own answer, a problem document included."""
    body = msgspec.json.encode(asked)
    try:
        answer = await ai.upstream.post(
            f"/api/trying/{action}", lambda: {"content": body, "headers": _JSON}, seconds=SECONDS
        )
    except RefusedError as refused:
        answer = refused.response
    media_type = answer.headers.get("content-type", PROBLEM_MEDIA_TYPE)
    return Response(answer.content, status_code=answer.status_code, media_type=media_type)


def _for(client_id: str, principal: Principal, name: str = "", body: Any = None) -> ForClient:
    return ForClient(client_id, principal.subject, name, body)


def _name(name: str) -> str:
    try:
        return msgspec.convert({"name": name}, _Named).name
    except msgspec.ValidationError as error:
        raise InvalidInput("name", f"{name!r} is no name of a set; allowed: {_SET_NAME}") from error


class _Named(msgspec.Struct):
    name: SetName


@post(
    "/api/clients/{client_id:str}/test-chat",
    status_code=200,
    summary="Try a message on one or two drafts",
)
async def test_chat(request: AnyRequest, client_id: FromPath[str], ai: Ai) -> Response[TestChatAnswer]:
    """Answers as the drafts would give them. Nothing is stored; the calls are paid for."""
    principal = open_client(request, client_id, "operator", "client")
    asked = await read_json(request, TestChat)
    return await _ask(ai, "chat", _for(client_id, principal, body=asked))


@get("/api/clients/{client_id:str}/question-sets", summary="Saved questions")
async def list_sets(request: AnyRequest, client_id: FromPath[str], ai: Ai) -> Response[QuestionSets]:
    """All sets, by name."""
    principal = open_client(request, client_id, "operator", "client")
    return await _ask(ai, "sets", _for(client_id, principal))


@put("/api/clients/{client_id:str}/question-sets/{name:str}", summary="Save questions")
async def save_set(
    request: AnyRequest, client_id: FromPath[str], name: FromPath[str], ai: Ai
) -> Response[QuestionSet]:
    """In place of the set of this name."""
    principal = open_client(request, client_id, "operator", "client")
    asked = await read_json(request, QuestionSet)
    return await _ask(ai, "save-set", _for(client_id, principal, _name(name), asked))


@delete(
    "/api/clients/{client_id:str}/question-sets/{name:str}", status_code=200, summary="Delete saved questions"
)
async def delete_set(
    request: AnyRequest, client_id: FromPath[str], name: FromPath[str], ai: Ai
) -> Response[bool]:
    """Whether there was such a set. Results of its runs stay."""
    principal = open_client(request, client_id, "operator", "client")
    return await _ask(ai, "delete-set", _for(client_id, principal, _name(name)))


@post(
    "/api/clients/{client_id:str}/question-sets/{name:str}/run",
    status_code=200,
    summary="Put questions to a draft",
)
async def run_set(
    request: AnyRequest, client_id: FromPath[str], name: FromPath[str], ai: Ai
) -> Response[QuestionRun]:
    """Begins a run, to be followed at `/question-runs/{run}`. Without a body: what is in force is asked."""
    principal = open_client(request, client_id, "operator", "client")
    raw = await request.body()
    draft = decode_json(raw, Draft) if raw.strip() else Draft()
    return await _ask(ai, "run", _for(client_id, principal, _name(name), draft))


@get("/api/clients/{client_id:str}/question-runs", summary="Results of saved questions")
async def list_runs(request: AnyRequest, client_id: FromPath[str], ai: Ai) -> Response[QuestionRuns]:
    """The latest first, each with the version that was asked, or that the draft became."""
    principal = open_client(request, client_id, "operator", "client")
    return await _ask(ai, "runs", _for(client_id, principal))


@get("/api/clients/{client_id:str}/question-runs/{run:str}", summary="One run, question by question")
async def read_run(
    request: AnyRequest, client_id: FromPath[str], run: FromPath[str], ai: Ai
) -> Response[QuestionRun]:
    """What has come of it so far."""
    principal = open_client(request, client_id, "operator", "client")
    if "\0" in run:
        raise MalformedRequest("a run's id holds no NUL bytes")
    return await _ask(ai, "result", _for(client_id, principal, run))


@put("/api/clients/{client_id:str}/provider-key", summary="A client's own provider key")
async def save_key(request: AnyRequest, client_id: FromPath[str], ai: Ai) -> Response[ProviderKeyView]:
    """From now on the client pays its calls itself. The key is stored encrypted, and never shown again."""
    principal = open_client(request, client_id, "operator", "client")
    given = await read_json(request, ProviderKey)
    return await _ask(ai, "save-key", _for(client_id, principal, body=given))


@delete("/api/clients/{client_id:str}/provider-key", status_code=200, summary="Remove the client's own key")
async def delete_key(request: AnyRequest, client_id: FromPath[str], ai: Ai) -> Response[ProviderKeyView]:
    """The operator's key is used again, within the operator's budget."""
    principal = open_client(request, client_id, "operator", "client")
    return await _ask(ai, "delete-key", _for(client_id, principal))


@get("/api/plugins", summary="Installed plugins")
async def list_plugins(request: AnyRequest, ai: Ai) -> Response[PluginList]:
    """What each does, what may be set of it, and how it fares in the process that answers."""
    require(request, "operator", "client")
    answer = await ai.upstream.post("/api/plugins", dict, seconds=SECONDS)
    return Response(answer.content, media_type="application/json")  # type: ignore[arg-type]  # JSON as it came


def assistant_routes(ai: AiService) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[
            test_chat, list_sets, save_set, delete_set, run_set, list_runs, read_run, save_key, delete_key,
            list_plugins,
        ],
        dependencies={"ai": Provide(lambda: ai, sync_to_thread=False)},
        tags=["assistant"],
    )  # fmt: skip
