"""Budgets: reserved before the call, settled after, never exceeded by more than one call's reservation."""

import concurrent.futures
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from orbitbot.ai.notices import notice
from tests.support import openai_server
from tests.support.ai import Ai, running
from tests.support.keys import Keys
from tests.support.net import wait_for
from tests.support.openai_server import says
from tests.support.postgres import Cluster

pytestmark = pytest.mark.integration

FAQ = [("Qual é o preço do arroz?", "R$ 27,90.")]
# 1,000 tokens of a prompt cost a cent, 1,000 of an answer two.
PRICES = openai_server.model_list(test__priced=(1e-5, 2e-5, 8000))
LISTED = 100 * 1e-5 + 10 * 2e-5


def usage(prompt: int, completion: int, cost: float | None = None) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion} | (
        {} if cost is None else {"cost": cost}
    )


def query(ai: Ai, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with ai.database.connect("postgres") as connection:
        return connection.execute(statement.encode(), values).fetchall()


def spent(ai: Ai, client: str) -> tuple[Decimal, int]:
    """USD and calls, as added up by day; the calls one by one must say the same."""
    statement = "SELECT coalesce(sum(cost_usd), 0), {} FROM {} WHERE client_id = %s"
    by_day = query(ai, statement.format("coalesce(sum(calls), 0)", "spending"), client)
    by_call = query(ai, statement.format("count(*)", "ai_calls"), client)
    assert by_day == by_call
    return by_call[0][0], by_call[0][1]


def reserved(ai: Ai, client: str) -> int:
    found: int = query(ai, "SELECT count(*) FROM reservations WHERE client_id = %s", client)[0][0]
    return found


def know_prices(ai: Ai, client: str) -> None:
    """Let every worker process read the list: each of them does at its first call."""

    def known() -> bool:
        return all(ai.chat(client, "oi").cost_usd == pytest.approx(LISTED) for _ in range(8))

    wait_for(known, "both workers have read the list", 15)


@pytest.fixture(scope="module")
def running_ai(cluster: Cluster, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ai]:
    """A service of this module's own, whose processes have not read the list of models yet."""
    with running(tmp_path_factory.mktemp("money"), cluster, keys, models=PRICES) as ai:
        yield ai


def test_a_process_that_knows_no_prices_reserves_all_the_same(ai: Ai) -> None:
    """Runs first, and no list has its model. By the assumed prices an answer's 800 tokens take 6 cents."""
    ai.add_client("unknown-prices", budgetDayUsd=0.20, historyTokens=0)
    ai.enter_key()
    ai.provider.default = says("Sim.", usage(1000, 100))  # 2.25 cents, as assumed
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda n: ai.chat("unknown-prices", f"oi {n}", turn=f"t{n}", contact=str(n)), range(40))
        )
    assert spent(ai, "unknown-prices")[0] <= Decimal("0.20")
    sources = {answer.source for answer in answers}
    assert sources == {"provider", "budget"}


def test_what_is_spent_is_known_by_call_and_by_day(ai: Ai) -> None:
    ai.add_client("spender", model="test/priced", faq=FAQ)
    ai.enter_key()
    ai.provider.default = says("Sim.", usage(100, 10))
    know_prices(ai, "spender")
    before = spent(ai, "spender")
    answer = ai.chat("spender", "tem arroz?", turn="t1", contact="1")
    assert answer.cost_usd == pytest.approx(LISTED), "by the list's prices"
    after = spent(ai, "spender")
    assert (after[0] - before[0], after[1] - before[1]) == (Decimal("0.0012"), 1)
    ai.provider.default = says("Sim.", usage(100, 10, cost=0.005))
    assert ai.chat("spender", "tem sal?", turn="t2", contact="1").cost_usd == 0.005, "as the provider says"
    assert query(ai, "SELECT turn_id, purpose, model, outcome, estimated FROM ai_calls WHERE turn_id <> ''"
                     " AND client_id = 'spender' ORDER BY at") == [
        ("t1", "chat", "test/priced", "answered", True), ("t2", "chat", "test/priced", "answered", False),
    ]  # fmt: skip
    assert reserved(ai, "spender") == 0


def test_a_hundred_calls_at_once_stay_within_the_budget(ai: Ai) -> None:
    """Each call really costs all that was reserved for it: no more of them than the budget pays for."""
    budget = 0.10
    ai.add_client("crowd", budgetDayUsd=budget, maxAnswerTokens=100, historyTokens=0)
    ai.enter_key()
    ai.provider.default = says("Sim.", usage(200, 100))  # 1.05 cents, as assumed
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(
            pool.map(lambda n: ai.chat("crowd", f"oi {n}", turn=f"t{n}", contact=str(n)), range(100))
        )
    assert len(answers) == 100
    assert float(spent(ai, "crowd")[0]) <= budget
    assert {answer.source for answer in answers} == {"provider", "budget"}
    assert reserved(ai, "crowd") == 0
    events = query(ai, "SELECT kind, data->>'period' FROM client_events WHERE client_id = 'crowd'")
    assert events == [("budget_reached", "day")], "told once"


def test_at_the_limit_the_client_has_its_own_words(ai: Ai) -> None:
    ai.add_client("poor", budgetDayUsd=0.0, faq=FAQ)
    ai.add_client("poor-own", budgetMonthUsd=0.0, budgetText="Voltamos amanhã!")
    ai.enter_key()
    assert ai.chat("poor", "arroz ta quanto?").response == "R$ 27,90.", "the FAQ costs nothing"
    answer = ai.chat("poor", "vocês consertam celular?")
    assert (answer.response, answer.source) == (notice("budget", "pt"), "budget")
    assert ai.chat("poor-own", "oi").response == "Voltamos amanhã!"
    assert ai.provider.requests == []
    assert query(ai, "SELECT data->>'period' FROM client_events WHERE client_id = 'poor-own'") == [("month",)]


def test_a_reservation_whose_process_died_counts_as_spent(ai: Ai) -> None:
    ai.add_client("crashed", budgetDayUsd=0.10)
    ai.enter_key()
    with ai.database.connect("postgres") as connection:
        connection.execute(
            "INSERT INTO reservations (client_id, id, day, own_key, amount_usd)"
            " SELECT id, gen_random_uuid(), (now() AT TIME ZONE timezone)::date, false, 0.09"
            " FROM clients WHERE id = 'crashed'"
        )
    assert ai.chat("crashed", "oi").source == "budget"


@pytest.mark.parametrize(
    ("reply", "least", "most"),
    [
        (openai_server.fails(400), 0.0, 0.0),
        (openai_server.hangs, 0.0, 0.0),
        (openai_server.stalls_after("Sim, temos arroz"), 1e-3, 0.02),
        (openai_server.cuts_stream, 1e-3, 0.04),
    ],
    ids=["refused", "never began", "stalled", "cut, twice"],
)
def test_a_failed_call_costs_what_it_may_have_cost(
    ai: Ai, reply: openai_server.Reply, least: float, most: float
) -> None:
    client = f"failed-{least * 1e6:.0f}-{most * 1e6:.0f}-{abs(hash(reply)) % 10**6}"
    ai.add_client(client, maxAnswerTokens=50)
    ai.enter_key()
    ai.provider.default = reply
    assert ai.chat(client, "tem arroz?", turn="t1", contact="1").source == "get_back"
    assert least <= float(spent(ai, client)[0]) <= most
    assert reserved(ai, client) == 0


def test_the_day_is_the_clients(ai: Ai) -> None:
    ai.add_client("far-away")
    with ai.database.connect("postgres") as connection:
        connection.execute("UPDATE clients SET timezone = 'Pacific/Kiritimati' WHERE id = 'far-away'")
    ai.enter_key()
    ai.chat("far-away", "oi")
    assert query(ai, "SELECT day = (now() AT TIME ZONE 'Pacific/Kiritimati')::date FROM spending"
                     " WHERE client_id = 'far-away'") == [(True,)]  # fmt: skip


def test_metrics_add_up_over_the_workers(ai: Ai, tmp_path: Path) -> None:
    ai.add_client("measured")
    ai.enter_key()
    for number in range(10):
        ai.chat("measured", f"oi {number}")
    expected = 'orbitbot_ai_calls_total{model="test/measured",outcome="answered"} 10'

    def told() -> bool:
        answer = httpx.get(f"{ai.service.url}/metrics", trust_env=False)  # it asks for no token
        return expected in answer.text.splitlines()

    # Each worker writes at its next call, a second after its last: a call of another client makes it do so.
    ai.add_client("nudge")
    wait_for(lambda: ai.chat("nudge", "oi") and told(), "every worker's counts", 15)
