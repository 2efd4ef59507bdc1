"""What bots tell again after a restore gets into the ledger, once, and never over what it knows better."""

from typing import Any

import pytest

from orbitbot.contracts.journal import JournaledTurn, JournalExcerpt
from orbitbot.contracts.messages import Member
from orbitbot.contracts.reports import Delivery, Reports, SetAside
from orbitbot.conversations.service import Ledger
from orbitbot.foundation.errors import InvalidInput
from tests.integration.conversations.test_ledger import ANSWER, NOW, new_turn
from tests.support import postgres


def journaled(turn: str = "t", **changed: Any) -> JournaledTurn:
    fields: dict[str, Any] = {
        "id": turn,
        "contact": "5511900000001",
        "type": "text",
        "message": "oi",
        "members": [Member(f"m-{turn}", "text", NOW, NOW + 1)],
        "state": "delivered",
        "fixed_at": NOW + 2,
        "finished_at": NOW + 9,
        "response": "Sim!",
    }
    return JournaledTurn(**(fields | changed))


async def test_a_lost_turn_comes_back_with_its_messages_and_its_exchange(
    ledger: Ledger, database: postgres.Database
) -> None:
    excerpt = JournalExcerpt(
        turns=[journaled(), journaled("u", state="silenced", response="", reason="muted")]
    )
    assert await ledger.take_back("padaria", excerpt) == 2
    assert await ledger.take_back("padaria", excerpt) == 0
    turn = await ledger.read("padaria", "t")
    assert (turn.state, turn.response, turn.message, turn.origin) == ("delivered", "Sim!", "oi", "bot")
    assert turn.finished_at is not None
    assert turn.finished_at.timestamp() == NOW + 9
    assert (await ledger.read("padaria", "u")).reason == "muted"
    with database.connect("postgres") as superuser:
        messages = superuser.execute("SELECT id, turn_id FROM messages ORDER BY id").fetchall()
        exchanges = superuser.execute("SELECT turn_id, question, answer, source FROM exchanges").fetchall()
    assert messages == [("m-t", "t"), ("m-u", "u")]
    assert exchanges == [("t", "oi", "Sim!", "journal")]


async def test_a_turn_under_way_is_brought_forward_and_its_delivery_counts(ledger: Ledger) -> None:
    begun = await ledger.begin(new_turn())
    told = journaled(state="answered", finished_at=None)
    assert await ledger.take_back("padaria", JournalExcerpt(turns=[told])) == 1
    assert (await ledger.read("padaria", "t")).state == "answered"
    assert begun.claimed
    await ledger.report("padaria", Reports([Delivery(turn="t", state="delivered", at=NOW + 20)]))
    assert (await ledger.read("padaria", "t")).state == "delivered"


async def test_what_the_ledger_has_settled_stays(ledger: Ledger) -> None:
    turn = (await ledger.begin(new_turn())).turn
    await ledger.failed(turn, "provider away")
    assert await ledger.take_back("padaria", JournalExcerpt(turns=[journaled()])) == 0
    assert (await ledger.read("padaria", "t")).state == "failed"


async def test_an_answer_of_the_ledger_is_not_replaced(ledger: Ledger) -> None:
    turn = (await ledger.begin(new_turn())).turn
    await ledger.answered(turn, ANSWER)
    told = journaled(response="Outra coisa")
    assert await ledger.take_back("padaria", JournalExcerpt(turns=[told])) == 1
    found = await ledger.read("padaria", "t")
    assert (found.state, found.response) == ("delivered", ANSWER.response)


async def test_messages_set_aside_come_back(ledger: Ledger, database: postgres.Database) -> None:
    aside = SetAside("x", "1", "text", NOW, NOW + 1, "group", NOW + 1)
    excerpt = JournalExcerpt(set_aside=[aside])
    assert await ledger.take_back("padaria", excerpt) == 1
    assert await ledger.take_back("padaria", excerpt) == 0
    with database.connect("postgres") as superuser:
        assert superuser.execute("SELECT id, silenced_reason FROM messages").fetchall() == [("x", "group")]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": ""}, "turns[0].id"),
        ({"contact": "a b"}, "turns[0].contact"),
        ({"fixed_at": -1.0}, "turns[0].fixedAt"),
        ({"finished_at": 1e12}, "turns[0].finishedAt"),
        ({"finished_at": None}, "turns[0].finishedAt"),
        ({"state": "answered"}, "turns[0].finishedAt"),
        ({"members": []}, "turns[0].members"),
        ({"members": [Member("", "text", NOW, NOW)]}, "turns[0].members[0].id"),
    ],
)
async def test_bad_values_are_named(ledger: Ledger, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await ledger.take_back("padaria", JournalExcerpt(turns=[journaled(**changed)]))
    assert refused.value.field == field


async def test_too_many_turns_at_once(ledger: Ledger) -> None:
    with pytest.raises(InvalidInput, match="at most 50"):
        await ledger.take_back("padaria", JournalExcerpt(turns=[journaled(str(n)) for n in range(51)]))
