"""What every Litestar service shares: problem documents (RFC 9457), bearer tokens, health routes.

The only place that turns an error into an HTTP answer.
"""

import logging
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.openapi.config import OpenAPIConfig
from litestar.types import (
    ASGIApp,
    ControllerRouterHandler,
    ExceptionHandlersMap,
    LifespanHook,
    Middleware,
    Receive,
    Scope,
    Send,
)

from orbitbot.foundation.errors import (
    Forbidden,
    InvalidInput,
    MalformedRequest,
    OrbitBotError,
    Unauthenticated,
)
from orbitbot.foundation.tokens import Principal, TokenVerifier

PROBLEM_TYPE_BASE: Final = "urn:orbitbot:problem:"
PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
OPEN_PATHS: Final = ("/healthz", "/readyz")
COUNTS_FAILURES: Final = "counts_failures"  # opt of routes that count anonymous calls themselves

log = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]
ReadyCheck = Callable[[], Awaitable[str]]


class ProblemDetails(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An RFC 9457 problem document, as the OpenAPI page shows it."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: list[dict[str, str]] = []


def problem_response(
    request: AnyRequest,
    *,
    status: int,
    problem: str,
    title: str,
    detail: str,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[dict[str, Any]]:
    """An HTTP answer in the form of RFC 9457."""
    body = dict(extra or {}) | {
        "type": PROBLEM_TYPE_BASE + problem,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
    }
    return Response(body, status_code=status, media_type=PROBLEM_MEDIA_TYPE, headers=dict(headers or {}))


def _on_own_error(request: AnyRequest, error: OrbitBotError) -> Response[dict[str, Any]]:
    headers: dict[str, str] = dict(error.extra.pop("headers", {}))
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if error.status >= 500:  # noqa: PLR2004
        log.warning("answered %s: %s", error.status, error.detail, extra={"action": request.url.path})
    return problem_response(
        request,
        status=error.status,
        problem=error.problem,
        title=error.title,
        detail=error.detail,
        extra=error.extra,
        headers=headers,
    )


def _on_framework_error(request: AnyRequest, error: HTTPException) -> Response[dict[str, Any]]:
    extra: dict[str, Any] = {}
    title, detail = HTTPStatus(error.status_code).phrase, error.detail
    problem = title.lower().replace(" ", "-")
    if isinstance(error, ValidationException):
        problem, title = InvalidInput.problem, InvalidInput.title
        found = error.extra if isinstance(error.extra, list) else []
        errors = [_field_error(each) for each in found]
        extra["errors"] = errors
        detail = "; ".join(f"{each['field']}: {each['detail']}" for each in errors) or detail
    return problem_response(
        request,
        status=error.status_code,
        problem=problem,
        title=title,
        detail=detail,
        extra=extra,
        headers=error.headers,
    )


def _field_error(found: Mapping[str, Any]) -> dict[str, str]:
    """Litestar calls the whole body `data`, and says only `'data'` when there is none."""
    field, message = str(found.get("key", "data")), str(found.get("message", ""))
    if field == "data":
        field, message = "body", "a body is needed" if message == "'data'" else message
    return {"field": field, "detail": message}


def _on_undecodable_text(request: AnyRequest, error: UnicodeDecodeError) -> Response[dict[str, Any]]:
    """JSON that is not UTF-8: msgspec raises this where Litestar expects an error of msgspec's own."""
    raised_in = traceback.extract_tb(error.__traceback__)[-1]
    if "litestar" in Path(raised_in.filename).parts:
        return _on_own_error(request, MalformedRequest("the body is not valid UTF-8"))
    return _on_unexpected_error(request, error)


def _on_unexpected_error(request: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    log.error("unhandled error", exc_info=error, extra={"action": request.url.path})
    return problem_response(
        request,
        status=OrbitBotError.status,
        problem=OrbitBotError.problem,
        title=OrbitBotError.title,
        detail="the error was logged; repeating the same request may work",
    )


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    OrbitBotError: _on_own_error,
    HTTPException: _on_framework_error,
    UnicodeDecodeError: _on_undecodable_text,
    Exception: _on_unexpected_error,
}


class BearerMiddleware(ASGIMiddleware):
    """Puts the verified `Principal` of the request's bearer token into `scope["user"]`, or None.

    It only authenticates; `require` in each handler decides what the principal may do. A token that
    is present but bad is refused here, before anything else looks at the request.
    """

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Verify the token, if there is one, and go on."""
        scope["user"] = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                kind, _, token = value.decode("latin-1").partition(" ")
                if kind.lower() != "bearer":
                    raise Unauthenticated("the Authorization header must be 'Bearer TOKEN'")
                scope["user"] = self._verifier.verify(token.strip())
        await next_app(scope, receive, send)


def require(request: AnyRequest, *scopes: str, client_id: str | None = None) -> Principal:
    """The request's principal, if it has one of `scopes` and opens `client_id`.

    A principal without a client of its own (operator, service) opens every client.

    Raises:
        Unauthenticated: no token came with the request.
        Forbidden: the token lacks every one of the scopes, or belongs to another client.
    """
    principal: Principal | None = request.scope["user"]
    if principal is None:
        raise Unauthenticated
    if principal.scopes.isdisjoint(scopes):
        raise Forbidden(f"this needs one of the scopes: {', '.join(scopes)}")
    if client_id is not None and principal.client_id not in (None, client_id):
        raise Forbidden("this token belongs to another client")
    return principal


def health_routes(service: str, version: str, checks: Mapping[str, ReadyCheck]) -> list[HTTPRouteHandler]:
    """`GET /healthz` (the process is alive) and `GET /readyz` (it can serve, with reasons).

    Args:
        checks: name → coroutine that returns a short text when all is well and raises when not.
    """

    @get("/healthz", sync_to_thread=False, include_in_schema=False)
    def healthz() -> dict[str, str]:
        return {"status": "alive", "service": service, "version": version}

    @get("/readyz", include_in_schema=False)
    async def readyz() -> Response[dict[str, Any]]:
        results: dict[str, dict[str, Any]] = {}
        for name, check in checks.items():
            try:
                results[name] = {"ok": True, "detail": await check()}
            except OrbitBotError as error:
                results[name] = {"ok": False, "detail": error.detail}
            except Exception as error:  # whatever breaks a check is its result
                log.warning("readiness check failed", exc_info=error, extra={"action": name})
                results[name] = {"ok": False, "detail": type(error).__name__}
        ready = all(result["ok"] for result in results.values())
        body = {
            "status": "ready" if ready else "not ready",
            "service": service,
            "version": version,
            "checks": results,
        }
        return Response(body, status_code=200 if ready else 503, media_type=MediaType.JSON)

    return [healthz, readyz]


def new_app(
    routes: Sequence[ControllerRouterHandler],
    *,
    middleware: Sequence[Middleware],
    on_startup: Sequence[LifespanHook] = (),
    on_shutdown: Sequence[LifespanHook] = (),
    openapi: OpenAPIConfig | None = None,
    body_limit: int = 1_000_000,
) -> Litestar:
    """A Litestar application with this project's errors and logs.

    Args:
        body_limit: largest request body in bytes; a longer one is answered 413.
    """
    return Litestar(
        routes,
        middleware=list(middleware),
        exception_handlers=EXCEPTION_HANDLERS,
        on_startup=list(on_startup),
        on_shutdown=list(on_shutdown),
        openapi_config=openapi,
        request_max_body_size=body_limit,
        logging_config=None,
    )
