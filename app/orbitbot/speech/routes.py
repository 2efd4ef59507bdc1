"""The speech node's HTTP: `POST /api/transcribe`, and beside it the form of OpenAI's API."""

from typing import Any

from litestar import MediaType, Response, Router, post

from orbitbot.contracts.transcribe import Transcription
from orbitbot.foundation.errors import InvalidInput, OrbitBotError
from orbitbot.foundation.web import AnyRequest, require
from orbitbot.speech.forms import read_form
from orbitbot.speech.service import AUTO, Note, SpeechService

DEFAULT_LANGUAGE = "pt"
OPENAI_FORMATS = ("json", "text", "verbose_json")


def speech_routes(service: SpeechService) -> Router:
    """Both routes; they are for other services of this project only (scope `service`)."""

    @post("/api/transcribe", status_code=200)
    async def transcribe(request: AnyRequest) -> Transcription:
        require(request, "service")
        form = await read_form(request)
        return await service.transcribe(
            Note(
                audio=form.file("audio"),
                model=form.text("model"),
                language=form.text("language", DEFAULT_LANGUAGE),
                prompt=form.text("prompt"),
                client=form.text("client"),
            )
        )

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


async def _openai_transcription(request: AnyRequest, service: SpeechService) -> Response[Any]:
    require(request, "service")
    form = await read_form(request)
    response_format = form.text("response_format", "json")
    if response_format not in OPENAI_FORMATS:
        raise InvalidInput("response_format", f"allowed: {', '.join(OPENAI_FORMATS)}")
    heard = await service.transcribe(
        Note(
            audio=form.file("file"),
            model=form.text("model"),
            language=form.text("language", AUTO),
            prompt=form.text("prompt"),
        )
    )
    if response_format == "text":
        return Response(heard.transcription + "\n", media_type=MediaType.TEXT)
    if response_format == "json":
        return Response({"text": heard.transcription})
    return Response(_verbose(heard))


def _verbose(heard: Transcription) -> dict[str, Any]:
    return {
        "task": "transcribe",
        "language": heard.language,
        "duration": heard.duration,
        "text": heard.transcription,
        "segments": [
            {"id": number, "start": each.start, "end": each.end, "text": each.text}
            for number, each in enumerate(heard.segments)
        ],
    }
