"""`POST /api/trying/…`: test chats, question sets and clients' own keys, for the gateway alone."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from orbitbot.ai.own_keys import OwnKeys
from orbitbot.ai.routes import SCOPE
from orbitbot.ai.trying import Trying
from orbitbot.contracts.trying import Draft, ForClient, ProviderKey, QuestionSet, TestChat
from orbitbot.foundation.bodies import decode_json, read_json
from orbitbot.foundation.errors import NotFound
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.web import AnyRequest, require

T = TypeVar("T")

Action = Callable[[ForClient], Awaitable[Any]]


def trying_routes(trying: Trying, keys: OwnKeys) -> list[HTTPRouteHandler]:
    """One route; the last part of its path says what is to be done."""
    actions: dict[str, Action] = {
        "chat": lambda asked: trying.chat(asked.client_id, _body(asked, TestChat)),
        "sets": lambda asked: trying.sets(asked.client_id),
        "save-set": lambda asked: trying.save(
            asked.client_id, asked.name, _body(asked, QuestionSet), asked.author
        ),
        "delete-set": lambda asked: trying.delete(asked.client_id, asked.name),
        "run": lambda asked: trying.run(asked.client_id, asked.name, _body(asked, Draft), asked.author),
        "runs": lambda asked: trying.runs(asked.client_id),
        "result": lambda asked: trying.result(asked.client_id, asked.name),
        "save-key": lambda asked: keys.save(asked.client_id, _body(asked, ProviderKey), asked.author),
        "delete-key": lambda asked: keys.delete(asked.client_id),
    }

    @post("/api/trying/{action:str}", status_code=200)
    async def try_out(request: AnyRequest, action: FromPath[str]) -> Response[bytes]:
        require(request, SCOPE)
        asked = await read_json(request, ForClient)
        check_client_id(asked.client_id)
        if action not in actions:
            raise NotFound(f"there is no action {action!r}")
        return Response(msgspec.json.encode(await actions[action](asked)), media_type="application/json")

    return [try_out]


def _body(asked: ForClient, kind: type[T]) -> T:
    return decode_json(msgspec.json.encode(asked.body), kind)
