"""The AI service and the speech pool, as typed calls."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

import httpx
import msgspec

from orbitbot.contracts.chat import ChatRequest, ChatResponse
from orbitbot.contracts.improve_transcription import ImprovedTranscription, ImproveTranscription
from orbitbot.contracts.plugins import CheckPlugins, PluginList, PluginProblems
from orbitbot.contracts.transcribe import Transcription
from orbitbot.foundation.errors import InvalidInput, Unavailable
from orbitbot.gateway.audio_length import audio_seconds
from orbitbot.gateway.transcripts import TranscriptCache, transcript_key
from orbitbot.gateway.upstream import RefusedError, Upstream

log = logging.getLogger(__name__)

T = TypeVar("T")

IMPROVE_SECONDS: Final = 6.0  # for which a corrected transcript is waited for: the contact waits, too
CHECK_SECONDS: Final = 5.0  # for which an AI service that is away is asked again about plugins
_JSON: Final = {"Content-Type": "application/json"}


class VoiceNote(NamedTuple):
    """The bytes of one voice note, as they were posted."""

    id: str
    content: bytes
    media_type: str


class AiService:
    """Asks the AI service. Repeating a turn is harmless: it returns the stored answer."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream

    async def chat(self, request: ChatRequest, *, seconds: float) -> ChatResponse:
        """The answer to one turn.

        Raises:
            RefusedError, Unavailable: see `Upstream.post`.
        """
        body = msgspec.json.encode(request)
        response = await self.upstream.post(
            "/api/chat", lambda: {"content": body, "headers": _JSON}, seconds=seconds
        )
        return _decoded(response, ChatResponse)

    async def improve(self, request: ImproveTranscription) -> str:
        """A transcript, corrected; as it was where the service is away, refuses or takes too long."""
        body = msgspec.json.encode(request)
        try:
            async with asyncio.timeout(IMPROVE_SECONDS):
                response = await self.upstream.post(
                    "/api/improve-transcription",
                    lambda: {"content": body, "headers": _JSON},
                    seconds=0.0,  # asked once: a transcript as it is is better than a late one
                )
            return _decoded(response, ImprovedTranscription).improved or request.transcription
        except (Unavailable, RefusedError, TimeoutError) as error:
            log.warning(
                "a transcript is taken as it is: %s",
                type(error).__name__,
                extra={"client_id": request.client_id, "action": "improve_transcription"},
            )
            return request.transcription

    async def check_plugins(self, plugins: Mapping[str, Any]) -> None:
        """Refuse settings of plugins that are not installed, or that they do not have.

        Raises:
            InvalidInput: names the plugin and the field.
            Unavailable: see `Upstream.post`.
        """
        body = msgspec.json.encode(CheckPlugins(dict(plugins)))
        response = await self.upstream.post(
            "/api/check-plugins", lambda: {"content": body, "headers": _JSON}, seconds=CHECK_SECONDS
        )
        for problem in _decoded(response, PluginProblems).problems:
            raise InvalidInput(problem.field, problem.detail)

    async def plugin_names(self) -> list[str]:
        """The plugins that a client may switch on and off.

        Raises:
            Unavailable: see `Upstream.post`.
        """
        response = await self.upstream.post(
            "/api/plugins", lambda: {"content": b"{}", "headers": _JSON}, seconds=CHECK_SECONDS
        )
        return [each.name for each in _decoded(response, PluginList).plugins if not each.always_on]


class SpeechService:
    """Asks the speech pool: of the nodes that are in, the one with the fewest seconds of audio under way."""

    def __init__(self, upstream: Upstream, cache: TranscriptCache) -> None:
        self.upstream = upstream
        self._cache = cache

    async def transcribe(self, note: VoiceNote, fields: dict[str, str], *, seconds: float) -> Transcription:
        """What is heard in one voice note.

        Raises:
            RefusedError, Unavailable: see `Upstream.post`.
        """
        key = transcript_key(note.content, fields)
        known = await self._cache.get(key)
        if known is not None:
            return known
        file = (note.id, note.content, note.media_type)
        response = await self.upstream.post(
            "/api/transcribe",
            lambda: {"data": fields, "files": {"audio": file}},
            seconds=seconds,
            weight=audio_seconds(note.content),
        )
        heard = _decoded(response, Transcription)
        await self._cache.keep(key, heard)
        return heard


def _decoded(response: httpx.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"a service answered something else than a {kind.__name__}") from error
