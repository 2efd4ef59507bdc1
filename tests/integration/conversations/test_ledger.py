"""The ledger on a real PostgreSQL: one worker at a time, states that only move forward."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orbitbot.contracts.messages import FINAL_STATES
from orbitbot.contracts.reports import Delivery, Reports, SetAside
from orbitbot.conversations.models import Answer, LedgerMessage, NewTurn, Turn
from orbitbot.conversations.service import ClaimLostError, Ledger
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import Conflict, InvalidInput, NotFound
from tests.support import postgres

ANSWER = Answer("Sim!", "m", "provider", 5, 3, 0.01, 12.5)
NOW = 1_700_000_000.0
# How far each state is; a turn may only ever go up. The final ones are not left.
RANK = {"received": 0, "transcribed": 1, "answering": 2, "answered": 3, "delivering": 4,
        "delivered": 5, "silenced": 5, "failed": 5}  # fmt: skip


def new_turn(turn: str = "t", **changed: Any) -> NewTurn:
    fields: dict[str, Any] = {
        "client_id": "padaria",
        "id": turn,
        "contact": "5511900000001",
        "type": "text",
        "origin": "bot",
        "fingerprint": b"f",
        "message": "oi",
        "messages": (LedgerMessage(f"m-{turn}", "text", NOW, NOW + 1),),
        "state": "answering",
    }
    return NewTurn(**(fields | changed))


def delivery(state: Any, turn: str = "t", **changed: Any) -> Delivery:
    return Delivery(turn=turn, state=state, at=NOW + 10, **changed)


async def test_a_turn_is_begun_once(ledger: Ledger, gateway_role: Database) -> None:
    other = Ledger(gateway_role, "worker-2", 30.0)
    first = await ledger.begin(new_turn())
    assert (first.claimed, first.turn.state, first.turn.claimed, first.turn.attempts) == (
        True,
        "answering",
        True,
        1,
    )
    again = await other.begin(new_turn())
    assert (again.claimed, again.turn.attempts) == (False, 1)
    with pytest.raises(ClaimLostError):
        await other.answered(again.turn, ANSWER)
    answered = await ledger.answered(first.turn, ANSWER)
    assert (answered.state, answered.response, answered.claimed) == ("answered", "Sim!", False)
    assert (await other.begin(new_turn())).turn.response == "Sim!"


async def test_twenty_begin_at_once_and_one_gets_it(gateway_role: Database, shops: tuple[str, str]) -> None:
    ledgers = [Ledger(gateway_role, f"worker-{n}", 30.0) for n in range(20)]
    begun = await asyncio.gather(*(each.begin(new_turn()) for each in ledgers))
    assert sum(each.claimed for each in begun) == 1


async def test_an_expired_or_released_claim_is_taken_over(
    gateway_role: Database, shops: tuple[str, str]
) -> None:
    dead, heir = Ledger(gateway_role, "dead", 0.0), Ledger(gateway_role, "heir", 30.0)
    lost = (await dead.begin(new_turn())).turn
    taken = await heir.begin(new_turn())
    assert (taken.claimed, taken.turn.attempts) == (True, 2)
    assert await dead.extend(lost) is False
    for late in (dead.answered(lost, ANSWER), dead.failed(lost, "late"), dead.transcribed(lost, ["x"])):
        with pytest.raises(ClaimLostError):
            await late
    await dead.release(lost)  # not its claim any more
    assert (await heir.read("padaria", "t")).claimed
    await heir.release(taken.turn)
    waiting = await heir.read("padaria", "t")
    assert waiting.as_answer().interrupted
    assert (await dead.begin(new_turn())).claimed


async def test_a_worker_takes_up_again_what_it_could_not_release(ledger: Ledger) -> None:
    await ledger.begin(new_turn())
    again = await ledger.begin(new_turn())
    assert (again.claimed, again.turn.attempts) == (True, 2)


async def test_a_transcript_survives_its_worker(gateway_role: Database, shops: tuple[str, str]) -> None:
    dead, heir = Ledger(gateway_role, "dead", 0.0), Ledger(gateway_role, "heir", 30.0)
    turn = (await dead.begin(new_turn(type="voice", state="received"))).turn
    assert (await dead.transcribed(turn, ["dois  pães\n", "", "por favor"])).state == "answering"
    taken = (await heir.begin(new_turn(type="voice", state="received"))).turn
    assert taken.transcription == "dois pães\n\npor favor"
    assert taken.as_answer().transcription == "dois pães\npor favor"


async def test_a_used_id_is_refused_and_its_turn_left_alone(ledger: Ledger) -> None:
    begun = await ledger.begin(new_turn())
    await ledger.release(begun.turn)
    with pytest.raises(Conflict):
        await ledger.begin(new_turn(fingerprint=b"another"))
    found = await ledger.read("padaria", "t")
    assert (found.attempts, found.claimed) == (1, False)


async def test_a_message_of_another_turn_stores_nothing(ledger: Ledger) -> None:
    await ledger.begin(new_turn("a", messages=(LedgerMessage("m1", "text", NOW, NOW),)))
    both = (LedgerMessage("m2", "text", NOW, NOW), LedgerMessage("m1", "text", NOW, NOW))
    with pytest.raises(Conflict):
        await ledger.begin(new_turn("b", messages=both))
    with pytest.raises(NotFound):
        await ledger.read("padaria", "b")


async def test_clients_have_ledgers_of_their_own(ledger: Ledger) -> None:
    await ledger.begin(new_turn())
    other = await ledger.begin(new_turn(client_id="clinica", fingerprint=b"another"))
    assert other.claimed
    with pytest.raises(NotFound):
        await ledger.read("clinica", "unknown")


async def test_unknown_clients_have_no_ledger(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        await ledger.begin(new_turn(client_id="nobody"))
    aside = SetAside("m", "1@g.us", "text", NOW, NOW, "group", NOW)
    with pytest.raises(NotFound):
        await ledger.report("nobody", Reports([aside]))


async def test_reports_move_a_turn_forward_only(ledger: Ledger) -> None:
    turn = (await ledger.begin(new_turn())).turn
    assert await ledger.report("padaria", Reports([delivery("delivered")])) == 1
    assert (await ledger.read("padaria", "t")).state == "answering"  # nothing was answered yet
    await ledger.answered(turn, ANSWER)
    await ledger.report("padaria", Reports([delivery("delivering"), delivery("delivered")]))
    await ledger.report(
        "padaria", Reports([delivery("failed", reason="late"), delivery("delivering", maybe_repeated=True)])
    )
    found = await ledger.read("padaria", "t")
    assert (found.state, found.reason, found.maybe_repeated) == ("delivered", "", True)


async def test_a_bot_may_give_a_turn_up(ledger: Ledger) -> None:
    turn = (await ledger.begin(new_turn())).turn
    await ledger.report("padaria", Reports([delivery("failed", reason="refused: 400")]))
    with pytest.raises(ClaimLostError):
        await ledger.answered(turn, ANSWER)
    found = await ledger.read("padaria", "t")
    assert (found.state, found.reason, found.as_answer().interrupted) == ("failed", "refused: 400", False)


async def test_deliveries_of_unknown_turns_are_not_counted(ledger: Ledger) -> None:
    await ledger.begin(new_turn())
    given_reports = Reports([delivery("delivered", "ghost"), delivery("failed", "t")])
    assert await ledger.report("padaria", given_reports) == 1
    assert await ledger.report("clinica", given_reports) == 0


async def test_a_message_set_aside_stays_so(ledger: Ledger, gateway_role: Database) -> None:
    aside = SetAside(
        message_id="m-t", from_="1@g.us", type="text", sent_at=NOW, journaled_at=NOW, reason="group", at=NOW
    )
    for _ in range(2):
        assert await ledger.report("padaria", Reports([aside])) == 1
    with pytest.raises(Conflict):
        await ledger.begin(new_turn())


async def test_one_bad_report_stores_none(ledger: Ledger) -> None:
    turn = (await ledger.begin(new_turn())).turn
    await ledger.answered(turn, ANSWER)
    bad = Delivery(turn="t", state="delivered", at=-1.0)
    with pytest.raises(InvalidInput, match=r"reports\[1\]\.at"):
        await ledger.report("padaria", Reports([delivery("delivering"), bad]))
    assert (await ledger.read("padaria", "t")).state == "answered"


STEPS = ["begin", "transcribed", "answered", "failed", "release", "report delivering", "report delivered",
         "report failed"]  # fmt: skip


@given(
    steps=st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(STEPS)), min_size=1, max_size=14),
    voice=st.booleans(),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_states_only_move_forward(
    database: postgres.Database, shops: tuple[str, str], steps: list[tuple[int, str]], *, voice: bool
) -> None:
    asyncio.run(_walk(database, steps, voice=voice))


async def _walk(database: postgres.Database, steps: list[tuple[int, str]], *, voice: bool) -> None:
    """Two workers whose claims never hold and a bot do `steps` in any order."""
    opened = Database(database.settings("gateway", pool_size=1), "walk")
    await opened.open()
    try:
        workers = [Ledger(opened, name, 0.0) for name in ("one", "two")]
        async with opened.client("padaria") as connection:
            await connection.execute("UPDATE turns SET reason = reason")  # the pool is open
        turn = f"walk-{id(steps)}-{asyncio.get_running_loop().time()}"
        new = new_turn(turn, type="voice" if voice else "text", state="received" if voice else "answering")
        history = [(await workers[0].begin(new)).turn]
        for number, step in steps:
            before = history[-1]
            after = await _step(workers[number], new, before, step)
            assert RANK[after.state] >= RANK[before.state], (step, before.state, after.state)
            if before.state in FINAL_STATES:
                assert after.state == before.state
                assert after.finished_at == before.finished_at
            if before.is_settled and before.response:
                assert after.response == before.response
            if before.transcription is not None:
                assert after.transcription == before.transcription
            if after.state in FINAL_STATES:
                assert after.finished_at is not None
                assert not after.as_answer().interrupted
            history.append(after)
    finally:
        await opened.close()


async def _step(ledger: Ledger, new: NewTurn, turn: Turn, step: str) -> Turn:
    try:
        match step.split():
            case ["begin"]:
                await ledger.begin(new)
            case ["transcribed"]:
                await ledger.transcribed(turn, ["ouvido"])
            case ["answered"]:
                await ledger.answered(turn, ANSWER)
            case ["failed"]:
                await ledger.failed(turn, "unprocessable: x")
            case ["release"]:
                await ledger.release(turn)
            case ["report", state]:
                await ledger.report(turn.client_id, Reports([delivery(state, turn.id, reason="r")]))
    except ClaimLostError:
        pass  # the other worker's
    return await ledger.read(turn.client_id, turn.id)
