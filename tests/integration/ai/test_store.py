"""The AI service's SQL, as its own database role under row security."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from orbitbot.ai.models import Answer, Exchange, Memory
from orbitbot.ai.store import PROFILE_LIFETIME, Store
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import NotFound
from tests.support import postgres
from tests.support.clock import Clock

pytestmark = pytest.mark.integration


@pytest.fixture
def clients(database: postgres.Database) -> list[str]:
    """Two clients; only the first has a configuration."""
    with database.connect("postgres") as connection:
        connection.execute(
            "INSERT INTO clients (id, name, channel, language, timezone, config_version)"
            " VALUES ('red', 'Red', 'simulator', 'pt', 'UTC', 1),"
            " ('blue', 'Blue', 'simulator', 'en', 'UTC', 0)"
        )
        connection.execute(
            "INSERT INTO client_configs (client_id, version, personality, settings, author)"
            """ VALUES ('red', 1, 'p1', '{"model": "m1", "historyTokens": 5}', 'test')"""
        )
    return ["red", "blue"]


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
async def store(database: postgres.Database, clients: list[str], clock: Clock) -> AsyncIterator[Store]:
    """A store as the service's role."""
    pool = Database(database.settings("ai"), "ai")
    await pool.open()
    yield Store(pool, clock)
    await pool.close()


def exchange(turn: str, text: str = "answer", contact: str = "1", **fields: object) -> Exchange:
    answer = Answer(text, **({"model": "m", "source": "provider"} | fields))  # type: ignore[arg-type]
    return Exchange(turn, contact, f"question of {turn}", answer)


async def test_profile(store: Store) -> None:
    red = await store.profile("red")
    assert (red.name, red.language, red.timezone, red.personality) == ("Red", "pt", "UTC", "p1")
    assert (red.settings.model, red.settings.history_tokens, red.settings.faq) == ("m1", 5, [])
    blue = await store.profile("blue")
    assert (blue.personality, blue.revision, blue.settings.model) == ("", "", "")


async def test_profile_is_cached_for_its_lifetime_only(
    store: Store, database: postgres.Database, clock: Clock
) -> None:
    assert (await store.profile("red")).personality == "p1"
    with database.connect("postgres") as connection:
        connection.execute("UPDATE client_configs SET personality = 'p2', created_at = now()")
    clock.seconds += PROFILE_LIFETIME - 0.1
    assert (await store.profile("red")).personality == "p1"
    clock.seconds += 0.2
    assert (await store.profile("red")).personality == "p2"


async def test_no_profile(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.profile("green")


async def test_the_first_exchange_of_a_turn_wins(store: Store) -> None:
    first = exchange("t1", "first", prompt_tokens=3, completion_tokens=4, cost_usd=0.25, provider_ms=1.5)
    assert await store.keep("red", first) == (first, True)
    assert await store.keep("red", exchange("t1", "second")) == (first, False)
    assert await store.recall("red", "t1", "1") == (first, Memory())


async def test_history_is_newest_first_and_of_this_contact_and_client(store: Store) -> None:
    await store.keep("red", exchange("t1"))
    await store.keep("red", exchange("t2"))
    await store.keep("red", exchange("t3", contact="2"))
    await store.keep("blue", exchange("t4"))
    await store.keep("red", exchange("t5", source="not_heard"))
    stored, memory = await store.recall("red", "t6", "1")
    assert stored is None
    assert [(each.question, each.answer) for each in memory.history] == [
        ("question of t2", "answer"),
        ("question of t1", "answer"),
    ]
    assert (memory.summary, memory.facts, memory.paused) == ("", (), "")


async def test_a_summary_stands_for_the_exchanges_in_it(store: Store) -> None:
    for turn in ("t1", "t2", "t3"):
        await store.keep("red", exchange(turn))
    history = (await store.recall("red", "t9", "1"))[1].history
    until = history[1].at
    assert until is not None
    assert await store.summarise("red", "1", "t1 and t2", until)
    memory = (await store.recall("red", "t9", "1"))[1]
    assert (memory.summary, [each.question for each in memory.history]) == ("t1 and t2", ["question of t3"])
    assert not await store.summarise("red", "1", "t1 alone", until), "no later one"
    assert not await store.summarise("red", "2", "of somebody else", until), "there is nothing to summarise"


async def test_an_exchange_of_an_unknown_client_is_refused(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.keep("green", exchange("t1"))


def test_without_the_setting_the_role_sees_nothing(database: postgres.Database, clients: list[str]) -> None:
    with database.connect("postgres") as connection:
        connection.execute(
            "INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source)"
            " VALUES ('red', 't', '1', 'q', 'a', 'm', 'faq')"
        )
    with database.connect("ai") as connection:
        for table in ("clients", "client_configs", "exchanges"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM turns")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE exchanges SET answer = ''")
