"""The HTTP calls of the AI service. Only other services of this installation may make them."""

from collections.abc import Sequence

from litestar import post
from litestar.handlers import HTTPRouteHandler

from orbitbot.ai.service import ChatService
from orbitbot.ai.transcription import TranscriptionService
from orbitbot.contracts.chat import ChatRequest, ChatResponse
from orbitbot.contracts.improve_transcription import ImprovedTranscription, ImproveTranscription
from orbitbot.contracts.plugins import CheckPlugins, PluginList, PluginProblems
from orbitbot.foundation.web import AnyRequest, require
from orbitbot.plugins.manager import Plugins

SCOPE = "service"


def chat_routes(
    chat_service: ChatService, transcriptions: TranscriptionService, plugins: Plugins
) -> Sequence[HTTPRouteHandler]:
    """`POST /api/chat`, `/api/improve-transcription`, `/api/check-plugins` and `/api/plugins`."""

    @post("/api/chat", status_code=200)
    async def chat(request: AnyRequest, data: ChatRequest) -> ChatResponse:
        require(request, SCOPE)
        return await chat_service.chat(data)

    @post("/api/improve-transcription", status_code=200)
    async def improve_transcription(request: AnyRequest, data: ImproveTranscription) -> ImprovedTranscription:
        require(request, SCOPE)
        return await transcriptions.improve(data)

    @post("/api/check-plugins", status_code=200, sync_to_thread=False)
    def check_plugins(request: AnyRequest, data: CheckPlugins) -> PluginProblems:
        require(request, SCOPE)
        return PluginProblems(plugins.check(data.plugins))

    @post("/api/plugins", status_code=200, sync_to_thread=False)
    def list_plugins(request: AnyRequest) -> PluginList:
        require(request, SCOPE)
        return PluginList(plugins.describe())

    return [chat, improve_transcription, check_plugins, list_plugins]
