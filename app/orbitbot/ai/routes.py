"""The HTTP calls of the AI service. Only other services of this installation may make them."""

from collections.abc import Sequence

from litestar import post
from litestar.handlers import HTTPRouteHandler

from orbitbot.ai.service import ChatService
from orbitbot.ai.transcription import TranscriptionService
from orbitbot.contracts.chat import ChatRequest, ChatResponse
from orbitbot.contracts.improve_transcription import ImprovedTranscription, ImproveTranscription
from orbitbot.foundation.web import AnyRequest, require

SCOPE = "service"


def chat_routes(
    chat_service: ChatService, transcriptions: TranscriptionService
) -> Sequence[HTTPRouteHandler]:
    """`POST /api/chat` and `POST /api/improve-transcription`."""

    @post("/api/chat", status_code=200)
    async def chat(request: AnyRequest, data: ChatRequest) -> ChatResponse:
        require(request, SCOPE)
        return await chat_service.chat(data)

    @post("/api/improve-transcription", status_code=200)
    async def improve_transcription(request: AnyRequest, data: ImproveTranscription) -> ImprovedTranscription:
        require(request, SCOPE)
        return await transcriptions.improve(data)

    return [chat, improve_transcription]
