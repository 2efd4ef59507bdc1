"""Joining of equal calls, without a database. The rest of the service is in the integration tests."""

import asyncio

from orbitbot.ai.cache import AnswerCache
from orbitbot.ai.metrics import DESCRIBED, Metrics
from orbitbot.ai.models import Answer, Exchange, Memory, Profile, Question
from orbitbot.ai.service import ChatService
from orbitbot.ai.summaries import Summaries
from orbitbot.contracts.chat import ChatRequest
from orbitbot.contracts.configure import ClientSettings
from orbitbot.plugins.manager import Plugins


class MemoryStore:
    """Keeps exchanges in a dictionary, with the real store's promise about who wins."""

    def __init__(self) -> None:
        self.exchanges: dict[str, Exchange] = {}

    async def profile(self, client_id: str) -> Profile:
        return Profile(client_id, "1", "Padaria", "pt", "UTC", "", ClientSettings())

    async def recall(self, client_id: str, turn: str, contact: str) -> tuple[Exchange | None, Memory]:
        return self.exchanges.get(turn), Memory()

    async def keep(self, client_id: str, exchange: Exchange) -> tuple[Exchange, bool]:
        winner = self.exchanges.setdefault(exchange.turn, exchange)
        return winner, winner is exchange


class SlowProviders:
    """Answers when told to, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun = asyncio.Event()
        self.released = asyncio.Event()
        self.error: Exception | None = None
        self.models = NoKey()

    async def answer(self, question: Question, tools: object, purpose: str) -> Answer:
        self.asked += 1
        self.begun.set()
        await self.released.wait()
        if self.error:
            raise self.error
        return Answer(f"answer {self.asked}", model="m", source="provider")


class NoKey:
    """Stands in for the models: nobody is asked."""

    def has_key(self, profile: Profile) -> bool:
        return False


def service(providers: SlowProviders) -> ChatService:
    metrics = Metrics(DESCRIBED)
    return ChatService(
        MemoryStore(),  # type: ignore[arg-type]
        providers,  # type: ignore[arg-type]
        Plugins(found=()),
        cache=AnswerCache(None, metrics),
        effects=None,  # type: ignore[arg-type]  # no plugin asks for any
        summaries=Summaries(MemoryStore(), NoKey()),  # type: ignore[arg-type]
        metrics=metrics,
    )


REQUEST = ChatRequest("padaria", "oi", turn="t1", contact="1")


async def test_equal_calls_join() -> None:
    providers = SlowProviders()
    chat = service(providers)
    calls = [asyncio.create_task(chat.chat(REQUEST)) for _ in range(5)]
    await providers.begun.wait()
    providers.released.set()
    answers = await asyncio.gather(*calls)
    assert providers.asked == 1
    assert {answer.response for answer in answers} == {"answer 1"}
    assert [answer.repeated for answer in answers].count(False) == 1


async def test_a_caller_that_goes_away_does_not_cancel_the_others() -> None:
    providers = SlowProviders()
    chat = service(providers)
    first = asyncio.create_task(chat.chat(REQUEST))
    await providers.begun.wait()
    second = asyncio.create_task(chat.chat(REQUEST))
    first.cancel()
    await asyncio.wait([first])
    providers.released.set()
    assert (await second).response == "answer 1"
    assert providers.asked == 1


async def test_a_failed_call_is_not_remembered() -> None:
    providers = SlowProviders()
    providers.released.set()
    providers.error = RuntimeError("broken")
    chat = service(providers)
    failures = await asyncio.gather(chat.chat(REQUEST), chat.chat(REQUEST), return_exceptions=True)
    assert [type(failure) for failure in failures] == [RuntimeError, RuntimeError]
    providers.error = None
    assert (await chat.chat(REQUEST)).response == "answer 2"


async def test_different_turns_do_not_join() -> None:
    providers = SlowProviders()
    providers.released.set()
    chat = service(providers)
    await asyncio.gather(chat.chat(REQUEST), chat.chat(ChatRequest("padaria", "oi", turn="t2", contact="1")))
    assert providers.asked == 2
