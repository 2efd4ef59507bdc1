"""Statistics: counted right, by the client's own days, its own rows only."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orbitbot.conversations.statistics import Statistics
from orbitbot.foundation.database import Database
from tests.support import postgres

_TURN = """
INSERT INTO turns (client_id, id, contact, type, origin, fingerprint, message, state, prompt_tokens,
                   completion_tokens, cost_usd, provider_ms, maybe_repeated, journaled_at, received_at,
                   answering_at, answered_at, finished_at)
VALUES (%(client)s, %(id)s, %(contact)s, %(type)s, 'bot', '', 'm', %(state)s, 10, 5, 0.25, 300, %(repeated)s,
        %(at)s::timestamptz, %(at)s::timestamptz + interval '5 s', %(at)s::timestamptz + interval '5 s',
        CASE WHEN %(state)s IN ('answered', 'delivered') THEN %(at)s::timestamptz + interval '6 s' END,
        CASE WHEN %(state)s <> 'answered' THEN %(at)s::timestamptz + interval '9 s' END)
"""
_MESSAGE = """
INSERT INTO messages (client_id, id, turn_id, contact, type, sent_at, journaled_at, silenced_reason)
VALUES (%(client)s, %(message)s, %(id)s, %(contact)s, %(type)s, %(at)s, %(at)s, %(reason)s)
"""


def add(database: postgres.Database, at: datetime, **changed: object) -> None:
    """A turn of one message, or a message set aside where `reason` is given."""
    fields = {"client": "padaria", "id": f"t-{at}", "message": f"m-{at}", "contact": "1", "type": "text",
              "state": "delivered", "repeated": False, "at": at, "reason": None} | changed  # fmt: skip
    with database.connect("postgres") as superuser:
        if fields["reason"] is None:
            superuser.execute(_TURN, fields)
        else:
            fields["id"] = None
        superuser.execute(_MESSAGE, fields)


@pytest.fixture
def noon() -> datetime:
    """Noon of today in the bakery's time zone, or an hour ago if that has not come yet."""
    now = datetime.now(UTC)
    midday = now.astimezone(ZoneInfo("America/Sao_Paulo")).replace(hour=12, minute=0, second=0, microsecond=0)
    return min(midday.astimezone(UTC), now - timedelta(seconds=30))


async def test_a_client_without_messages(gateway_role: Database, shops: tuple[str, str]) -> None:
    stats = await Statistics(gateway_role).read("padaria", 7)
    assert (stats.messages, stats.turns, stats.cost_usd) == (0, 0, 0.0)
    assert (stats.response_time.p50, stats.overhead.p99) == (None, None)
    assert len(stats.by_day) == 7
    today = datetime.now(ZoneInfo("America/Sao_Paulo"))
    assert stats.by_day[-1].date == f"{today:%Y-%m-%d}"


async def test_everything_is_counted_once(
    database: postgres.Database, gateway_role: Database, shops: tuple[str, str], noon: datetime
) -> None:
    second = timedelta(seconds=1)
    add(database, noon)
    add(database, noon + second, type="voice", contact="2", repeated=True)
    add(database, noon + 2 * second, state="failed")
    add(database, noon + 3 * second, state="silenced")
    add(database, noon + 4 * second, state="answered")
    add(database, noon + 5 * second, reason="group", contact="3")
    add(database, noon, client="clinica", id="x", message="x")
    stats = await Statistics(gateway_role).read("padaria", 1)
    assert (stats.messages, stats.voice_notes, stats.contacts) == (6, 1, 3)
    assert (stats.turns, stats.answered, stats.delivered) == (5, 3, 2)
    assert (stats.silenced, stats.failed, stats.maybe_repeated) == (2, 1, 1)
    assert (stats.prompt_tokens, stats.completion_tokens, stats.cost_usd) == (50, 25, 1.25)
    assert (stats.response_time.p50, stats.response_time.p99) == (9000.0, 9000.0)
    assert stats.overhead.p50 == 700.0  # one second in the gateway, 300 ms of it the provider's
    (day,) = stats.by_day
    assert (day.messages, day.turns, day.delivered, day.silenced, day.failed) == (6, 5, 2, 2, 1)
    assert (day.tokens, day.cost_usd) == (75, 1.25)


async def test_days_are_the_clients_own(
    database: postgres.Database, gateway_role: Database, shops: tuple[str, str]
) -> None:
    local = datetime.now(ZoneInfo("America/Sao_Paulo")).replace(hour=0, minute=0, second=0, microsecond=0)
    add(database, local - timedelta(seconds=10), id="late yesterday", message="late yesterday")
    add(database, local, id="midnight", message="midnight")
    add(database, local - timedelta(days=2), id="too old", message="too old")
    stats = await Statistics(gateway_role).read("padaria", 2)
    assert [(day.messages, day.turns) for day in stats.by_day] == [(1, 1), (1, 1)]
    assert stats.messages == 2
