"""Answers turns: once each, by plugins, the cache or the provider in use, remembered per contact."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from orbitbot.ai.cache import AnswerCache
from orbitbot.ai.effects import Effects
from orbitbot.ai.guard import gives_away
from orbitbot.ai.metrics import Metrics
from orbitbot.ai.models import Answer, Exchange, Memory, Profile, Question
from orbitbot.ai.notices import notice
from orbitbot.ai.providers.base import Purpose
from orbitbot.ai.providers.selection import Providers
from orbitbot.ai.store import Store
from orbitbot.ai.summaries import Summaries
from orbitbot.ai.tools import TurnTools
from orbitbot.contracts.chat import ChatRequest, ChatResponse
from orbitbot.foundation.errors import Conflict, OrbitBotError, TooLarge
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.text import check_strings
from orbitbot.plugins.admin import PREFIX, AdminSettings, help_text, is_admin
from orbitbot.plugins.hooks import Change, Command, Effect, Event, Reply, Silence, TurnContext
from orbitbot.plugins.manager import ALWAYS_ON, Enabled, Plugins

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
        plugins: Plugins,
        *,
        cache: AnswerCache,
        effects: Effects,
        summaries: Summaries,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._providers = providers
        self._plugins = plugins
        self._cache = cache
        self._effects = effects
        self._summaries = summaries
        self._metrics = metrics
        self._now = now
        self._under_way: dict[tuple[str, str, str], asyncio.Task[_Result]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Finish what no contact waits for."""
        await self._summaries.close()
        if self._telling:
            await asyncio.gather(*self._telling, return_exceptions=True)

    async def chat(self, request: ChatRequest) -> ChatResponse:
        """Answer a turn.

        Raises:
            InvalidInput, TooLarge: a field's value is not allowed.
            NotFound: there is no such client.
            Conflict: the turn is stored, but as another contact's.
            Unavailable: the database cannot be reached; nothing was answered.
        """
        started = time.perf_counter()
        check_client_id(request.client_id)
        check_strings(request)
        check_length("message", request.message, MESSAGE_LIMIT)
        check_length("turn", request.turn, ID_LIMIT)
        check_length("contact", request.contact, ID_LIMIT)
        if not request.turn:
            profile = await self._store.profile(request.client_id)
            answer, made = await self.answer(profile, request, Memory()), True
        else:
            exchange, made = await self._once(request)
            if exchange.contact != request.contact:
                raise Conflict("this turn belongs to another contact")
            answer = exchange.answer
        if made:
            took = time.perf_counter() - started
            self._metrics.count("orbitbot_ai_chats_total", source=answer.source)
            self._metrics.observe("orbitbot_ai_chat_seconds", took)
            self._metrics.observe("orbitbot_ai_overhead_seconds", max(0.0, took - answer.provider_ms / 1000))
        return _response(answer, repeated=not made)

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
        answer = await self.answer(profile, request, memory)
        exchange = Exchange(request.turn, request.contact, request.message, answer)
        exchange, made = await self._store.keep(request.client_id, exchange)
        if made and exchange.answer.source == "provider":
            self._summaries.consider(profile, request.contact, memory)
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

    async def answer(
        self, profile: Profile, request: ChatRequest, memory: Memory, *, purpose: Purpose = "chat"
    ) -> Answer:
        """An answer, always; not stored. With the purpose `test` nothing that plugins ask for is done."""
        if memory.paused:
            return _silenced("human_took_over")
        if not request.heard and not request.message.strip():
            text = profile.settings.not_heard_text or notice("not_heard", profile.language)
            return Answer(text, model="", source="not_heard")
        context = self._context(profile, request, test=purpose == "test")
        enabled = self._plugins.enabled(profile.client_id, profile.revision, profile.settings.plugins)
        decided = await self._before(enabled, context)
        if isinstance(decided, Answer):
            return await self._after(enabled, context, decided)
        context = decided
        facts = await self._plugins.prompt_facts(enabled, context)
        question = Question(
            profile=profile,
            message=context.message,
            spoken=context.spoken,
            memory=memory,
            now=tuple(fact for _, fact in facts),
            turn=request.turn,
            contact=request.contact,
        )
        answer = await self._from_cache_or_provider(
            question, context, enabled, tuple(fact for name, fact in facts if name not in ALWAYS_ON), purpose
        )
        return await self._after(enabled, context, answer)

    async def _from_cache_or_provider(
        self,
        question: Question,
        context: TurnContext,
        enabled: list[Enabled],
        facts: tuple[str, ...],
        purpose: Purpose,
    ) -> Answer:
        profile = question.profile
        has_key = self._providers.models.has_key(profile)
        key = self._cache.key(question, facts) if has_key and purpose == "chat" else None
        if key is not None and (kept := await self._cache.get(key)) is not None:
            return kept
        tools = TurnTools(
            self._plugins, context, await self._plugins.tools(enabled, context) if has_key else ()
        )
        answer = await self._providers.answer(question, tools, purpose)
        if answer.source == "provider" and gives_away(answer.text, profile):
            self._metrics.count("orbitbot_ai_withheld_total")
            log.warning(
                "an answer was withheld: it repeated the system text",
                extra={"client_id": profile.client_id, "turn": question.turn, "action": "guard"},
            )
            text = profile.settings.no_answer_text or notice("no_answer", profile.language)
            return msgspec.structs.replace(answer, text=text, source="no_answer")
        await self._carry_out(context, tools.effects)
        if key is not None and answer.source == "provider" and not tools.used:
            await self._cache.put(key, answer, profile.settings.cache_seconds)
        return answer

    async def _before(self, enabled: list[Enabled], context: TurnContext) -> Answer | TurnContext:
        """What plugins decide before the answer: one of their own, or the turn as they want it."""
        commanded = await self._command(enabled, context)
        if commanded is not None:
            return commanded
        for each in enabled:
            decision = await self._plugins.call(each.name, "before_answer", context, each.settings)
            if not isinstance(decision, Change | Reply | Silence):
                continue
            await self._carry_out(context, decision.effects)
            match decision:
                case Change(message=message):
                    context = msgspec.structs.replace(context, message=message[:MESSAGE_LIMIT])
                case Reply(text=text):
                    return Answer(text, model="", source="plugin")
                case Silence(reason=reason):
                    return _silenced(reason)
        return context

    async def _command(self, enabled: list[Enabled], context: TurnContext) -> Answer | None:
        """The answer to an admin number's command; None if it is none."""
        admin = next((each.settings for each in enabled if isinstance(each.settings, AdminSettings)), None)
        message = context.message.strip()
        if admin is None or not message.startswith(PREFIX) or not is_admin(admin, context.contact):
            return None
        commands: dict[str, tuple[str, Command]] = {}
        for each in enabled:
            offered = await self._plugins.call(each.name, "commands", context, each.settings)
            commands |= {found.name: (each.name, found) for found in offered or ()}
        name, _, arguments = message.removeprefix(PREFIX).partition(" ")
        found = commands.get(name.lower())
        if found is None:
            text = help_text(
                [each for _, each in commands.values()], context.language, unknown=name != "help"
            )
            return Answer(text, model="", source="plugin")
        said = await self._plugins.use_command(*found, context, arguments)
        if not isinstance(said, Reply):
            return Answer(notice("no_answer", context.language), model="", source="no_answer")
        await self._carry_out(context, said.effects)
        log.info("commanded", extra={"client_id": context.client_id, "action": f"command {found[1].name}"})
        return Answer(said.text, model="", source="plugin")

    async def _after(self, enabled: list[Enabled], context: TurnContext, answer: Answer) -> Answer:
        """The answer as plugins leave it; then they are told of it."""
        if answer.source != "silenced":
            for each in enabled:
                text = await self._plugins.call(
                    each.name, "after_answer", context, each.settings, answer=answer.text
                )
                if isinstance(text, str) and text.strip():
                    answer = msgspec.structs.replace(answer, text=text.replace("\0", ""))
        if not context.test:
            kind = "silenced" if answer.source == "silenced" else "answered"
            data: dict[str, Any] = {"source": answer.source, "reason": answer.silenced}
            self._tell(enabled, context, Event(kind, context.contact, data))
        return answer

    def _tell(self, enabled: list[Enabled], context: TurnContext, event: Event) -> None:
        """Tell plugins of an event; nobody waits for them."""
        task = asyncio.create_task(self._plugins.tell(enabled, context, event))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _carry_out(self, context: TurnContext, effects: Any) -> None:
        wanted: list[Effect] = [] if context.test else list(effects)
        if not wanted:
            return
        try:
            await self._effects.carry_out(context.client_id, context.contact, "plugin", wanted)
        except OrbitBotError:
            raise
        except Exception:  # a plugin may ask for what cannot be stored
            log.exception(
                "a plugin's wish failed", extra={"client_id": context.client_id, "action": "effects"}
            )

    def _context(self, profile: Profile, request: ChatRequest, *, test: bool) -> TurnContext:
        return TurnContext(
            client_id=profile.client_id,
            language=profile.language,
            timezone=profile.timezone,
            now=self._now(),
            client_name=profile.name,
            business=profile.settings.business,
            contact=request.contact,
            message=request.message,
            turn=request.turn,
            spoken=request.type == "voice",
            test=test,
        )


def _silenced(reason: str) -> Answer:
    return Answer("", model="", source="silenced", silenced=reason)


def _response(answer: Answer, *, repeated: bool) -> ChatResponse:
    fields = msgspec.structs.asdict(answer)
    return ChatResponse(response=fields.pop("text"), repeated=repeated, **fields)
