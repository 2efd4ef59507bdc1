"""The speech node's HTTP: `POST /api/transcribe`, beside it the form of OpenAI's API, and `/metrics`."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from litestar import Response, Router, get, post

from orbitbot.contracts.transcribe import Transcription
from orbitbot.foundation.errors import InvalidInput, OrbitBotError
from orbitbot.foundation.metrics import MEDIA_TYPE
from orbitbot.foundation.web import AnyRequest, require
from orbitbot.speech.answers import FORMATS, AnyResponse
from orbitbot.speech.forms import Form, read_form
from orbitbot.speech.metrics import SpeechMetrics
from orbitbot.speech.registry import ModelRegistry
from orbitbot.speech.scheduler import Scheduler
from orbitbot.speech.service import AUTO, Answer, Note, SpeechService

T = TypeVar("T")

DEFAULT_LANGUAGE: Final = "pt"
OPENAI_MODEL: Final = "whisper-1"  # what OpenAI's clients ask for: here, the default model
GRANULARITY: Final = "timestamp_granularities[]"


class CallerGoneError(OrbitBotError):
    """Nobody waits for the answer any more; it reaches nobody."""

    status = 499
    problem = "caller-gone"
    title = "The caller has hung up"


def speech_routes(service: SpeechService) -> Router:
    """Both routes; they are for other services of this project only (scope `service`)."""

    @post("/api/transcribe", status_code=200)
    async def transcribe(request: AnyRequest) -> Transcription:
        require(request, "service")
        service.admission.check()
        form = await read_form(request)
        note = Note(
            audio=form.file("audio"),
            model=form.text("model"),
            language=form.text("language", DEFAULT_LANGUAGE),
            prompt=form.text("prompt"),
            client=form.text("client"),
            priority=form.text("priority", "interactive"),
        )
        answer = await while_awaited(request, service.transcribe(note))
        return answer.transcription

    @post("/v1/audio/transcriptions", status_code=200)
    async def openai_transcriptions(request: AnyRequest) -> Response[Any]:
        try:
            return await _openai_transcription(request, service)
        except OrbitBotError as error:
            error.extra["error"] = {
                "message": error.detail,
                "type": error.problem,
            }  # what OpenAI clients show
            raise

    return Router("/", route_handlers=[transcribe, openai_transcriptions])


async def _openai_transcription(request: AnyRequest, service: SpeechService) -> AnyResponse:
    require(request, "service")
    service.admission.check()
    form = await read_form(request)
    response_format = form.text("response_format", "json")
    if response_format not in FORMATS:
        raise InvalidInput("response_format", f"{response_format[:80]!r}; allowed: {', '.join(FORMATS)}")
    if form.text(GRANULARITY, "segment") != "segment":
        raise InvalidInput(GRANULARITY, "allowed: segment")
    model = form.text("model")
    note = Note(
        audio=form.file("file"),
        model="" if model == OPENAI_MODEL else model,
        language=form.text("language", AUTO),
        prompt=form.text("prompt"),
        temperature=_temperature(form),
    )
    answer: Answer = await while_awaited(request, service.transcribe(note))
    return FORMATS[response_format](answer)


def _temperature(form: Form) -> float:
    given = form.text("temperature", "0")
    try:
        return float(given)
    except ValueError as error:
        raise InvalidInput("temperature", f"{given[:80]!r} is not a number") from error


async def while_awaited(request: AnyRequest, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is given up when the caller hangs up: its place is then another note's."""
    working = asyncio.ensure_future(work)
    hung_up = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({working, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise CallerGoneError
        return working.result()
    finally:
        for task in (working, hung_up):
            task.cancel()
        await asyncio.gather(working, hung_up, return_exceptions=True)


async def _hung_up(request: AnyRequest) -> None:
    """Return when the connection is closed; the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def metrics_route(
    service: SpeechService, scheduler: Scheduler, registry: ModelRegistry, metrics: SpeechMetrics
) -> Any:
    """`GET /metrics`, open like the health routes: only the private network reaches it."""

    @get("/metrics", sync_to_thread=False, include_in_schema=False)
    def measured() -> Response[str]:
        text = metrics.text(
            held=service.admission.held,
            limit=service.admission.limit,
            waiting=scheduler.waiting(),
            models=len(registry.loaded()),
        )
        return Response(text, media_type=MEDIA_TYPE)

    return measured
