"""What bounds a node: notes held, notes of one client, seconds of decoded audio."""

import asyncio

import pytest

from orbitbot.foundation.errors import TooManyRequests, Unavailable
from orbitbot.speech.admission import Admission
from orbitbot.speech.budget import Budget

DEADLINE = 10.0  # seconds


def test_a_full_node_refuses_and_says_when_to_come_again() -> None:
    admission = Admission(limit=2, client_limit=2, at_once=1)
    with admission.place("a"), admission.place("b"):
        with pytest.raises(Unavailable, match="2 voice notes are waiting already") as caught:
            admission.check()
        assert caught.value.retry_after == pytest.approx(1.0)
        with pytest.raises(Unavailable), admission.place("c"):
            pass

    assert admission.held == 0
    admission.check()


def test_one_client_cannot_fill_a_node() -> None:
    admission = Admission(limit=4, client_limit=2, at_once=1)
    with admission.place("loud"), admission.place("loud"):
        with (
            pytest.raises(TooManyRequests, match="2 voice notes of this client"),
            admission.place("loud"),
        ):
            pass
        with admission.place("quiet"):
            assert admission.held == 3
    assert admission.refused == {"client": 1}


def test_a_place_is_given_back_also_after_a_failure() -> None:
    admission = Admission(limit=1, client_limit=1, at_once=1)
    with pytest.raises(ZeroDivisionError), admission.place("a"):
        raise ZeroDivisionError

    assert (admission.held, admission._clients) == (0, {})


async def test_a_budget_is_never_exceeded_and_given_in_order() -> None:
    budget = Budget(10.0)
    order: list[int] = []
    held: list[float] = []
    go = asyncio.Event()

    async def note(number: int, amount: float) -> None:
        async with budget.holding(amount):
            order.append(number)
            held.append(budget.held)
            await go.wait()

    amounts = [6.0, 6.0, 3.0, 20.0, 1.0]
    tasks = [asyncio.create_task(note(number, amount)) for number, amount in enumerate(amounts)]
    await asyncio.sleep(0)
    assert order == [0]
    go.set()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*tasks)

    assert order == [0, 1, 2, 3, 4]
    assert all(now <= 10.0 or now == 20.0 for now in held)
    assert budget.held == 0


async def test_whoever_gives_up_waiting_holds_nothing() -> None:
    budget = Budget(10.0)
    entered = asyncio.Event()

    async def wait(amount: float) -> None:
        async with budget.holding(amount):
            entered.set()

    async with budget.holding(10.0):
        given_up, patient = asyncio.create_task(wait(5.0)), asyncio.create_task(wait(5.0))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        assert not entered.is_set()
    async with asyncio.timeout(DEADLINE):
        await patient
    assert entered.is_set()
    assert budget.held == 0
