"""Answers turns: once each, from the provider in use, remembered per contact."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
import pluggy

from orbitbot.ai.models import Answer, Exchange, Memory, Profile, Question
from orbitbot.ai.notices import notice
from orbitbot.ai.providers.selection import Providers
from orbitbot.ai.store import Store
from orbitbot.contracts.chat import ChatRequest, ChatResponse
from orbitbot.foundation.errors import Conflict, TooLarge
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.text import check_strings
from orbitbot.plugins.hooks import PromptContext
from orbitbot.plugins.manager import prompt_facts

MESSAGE_LIMIT: Final = 60_000  # characters
ID_LIMIT: Final = 200  # characters of a turn's or a contact's id

log = logging.getLogger(__name__)

_Result = tuple[Exchange, bool]  # what is stored, and whether this call made it


def check_length(field: str, text: str, limit: int) -> None:
    """Refuse a text of more than `limit` characters.

    Raises:
        TooLarge: names the field and the limit.
    """
    if len(text) > limit:
        raise TooLarge(f"{field}: {len(text)} characters; at most {limit} are allowed")


class ChatService:
    """One turn in, one answer out.

    A turn that is answered already gets its stored answer. Equal calls at the same time share one
    answer: in this process by joining, between processes by the stored exchange's primary key.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        plugins: pluggy.PluginManager,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._providers = providers
        self._plugins = plugins
        self._now = now
        self._under_way: dict[tuple[str, str, str], asyncio.Task[_Result]] = {}

    async def chat(self, request: ChatRequest) -> ChatResponse:
        """Answer a turn.

        Raises:
            InvalidInput, TooLarge: a field's value is not allowed.
            NotFound: there is no such client.
            Conflict: the turn is stored, but as another contact's.
            Unavailable: the database cannot be reached; nothing was answered.
        """
        check_client_id(request.client_id)
        check_strings(request)
        check_length("message", request.message, MESSAGE_LIMIT)
        check_length("turn", request.turn, ID_LIMIT)
        check_length("contact", request.contact, ID_LIMIT)
        if not request.turn:
            profile = await self._store.profile(request.client_id)
            return _response(await self._answer(profile, request, Memory()), repeated=False)
        exchange, made = await self._once(request)
        if exchange.contact != request.contact:
            raise Conflict("this turn belongs to another contact")
        return _response(exchange.answer, repeated=not made)

    async def _once(self, request: ChatRequest) -> _Result:
        """The turn's exchange. A caller that goes away does not cancel it for those who joined."""
        key = (request.client_id, request.turn, request.contact)
        running = self._under_way.get(key)
        if running is not None:
            exchange, _ = await asyncio.shield(running)
            return exchange, False
        task = asyncio.create_task(self._answer_and_keep(request))
        self._under_way[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: tuple[str, str, str], done: asyncio.Task[_Result]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # seen, even if every caller has gone away

    async def _answer_and_keep(self, request: ChatRequest) -> _Result:
        profile = await self._store.profile(request.client_id)
        stored, memory = await self._store.recall(request.client_id, request.turn, request.contact)
        if stored is not None:
            return stored, False
        answer = await self._answer(profile, request, memory)
        exchange = Exchange(request.turn, request.contact, request.message, answer)
        exchange, made = await self._store.keep(request.client_id, exchange)
        log.info(
            "answered",
            extra={
                "client_id": request.client_id,
                "turn": request.turn,
                "action": "chat",
                "source": exchange.answer.source,
                "model": exchange.answer.model,
                "provider_ms": round(exchange.answer.provider_ms, 1),
                "stored": made,
            },
        )
        return exchange, made

    async def _answer(self, profile: Profile, request: ChatRequest, memory: Memory) -> Answer:
        if memory.paused:
            return Answer("", model="", source="silenced", silenced="human_took_over")
        if not request.heard and not request.message.strip():
            text = profile.settings.not_heard_text or notice("not_heard", profile.language)
            return Answer(text, model="", source="not_heard")
        context = PromptContext(profile.client_id, profile.language, profile.timezone, self._now())
        question = Question(
            profile=profile,
            message=request.message,
            spoken=request.type == "voice",
            memory=memory,
            now=tuple(prompt_facts(self._plugins, context)),
            turn=request.turn,
            contact=request.contact,
        )
        return await self._providers.answer(question)


def _response(answer: Answer, *, repeated: bool) -> ChatResponse:
    fields = msgspec.structs.asdict(answer)
    return ChatResponse(response=fields.pop("text"), repeated=repeated, **fields)
