"""When a model is left alone, and when it is tried again."""

import pytest

from orbitbot.ai.providers.breaker import LONGEST_OPEN, OPEN_SECONDS, Breakers
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(50.0)


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(3, 20.0, clock)


def fail(breakers: Breakers, times: int, retry_after: float | None = None) -> None:
    for _ in range(times):
        breakers.failed("m", "k", retry_after)


def test_opens_after_so_many_failures_in_a_row(breakers: Breakers) -> None:
    fail(breakers, 2)
    assert breakers.allows("m", "k")
    assert breakers.states() == {"m": "closed"}
    fail(breakers, 1)
    assert not breakers.allows("m", "k")
    assert breakers.states() == {"m": "open"}


def test_a_success_begins_anew(breakers: Breakers) -> None:
    fail(breakers, 2)
    breakers.succeeded("m", "k")
    fail(breakers, 2)
    assert breakers.allows("m", "k")


def test_another_key_and_another_model_are_not_concerned(breakers: Breakers) -> None:
    fail(breakers, 3)
    assert breakers.allows("m", "other")
    assert breakers.allows("other", "k")


def test_after_the_pause_one_may_try(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, 3)
    clock.seconds += OPEN_SECONDS
    assert breakers.states() == {"m": "half_open"}
    assert breakers.allows("m", "k")
    assert not breakers.allows("m", "k"), "one at a time"
    breakers.failed("m", "k")
    assert not breakers.allows("m", "k"), "open again at once"
    clock.seconds += OPEN_SECONDS
    assert breakers.allows("m", "k")
    breakers.succeeded("m", "k")
    assert breakers.allows("m", "k")
    assert breakers.states() == {}


def test_a_probe_that_never_ends_is_followed_by_another(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, 3)
    clock.seconds += OPEN_SECONDS
    assert breakers.allows("m", "k")
    clock.seconds += 20.0
    assert breakers.allows("m", "k")


def test_told_to_wait_it_opens_at_once_but_not_for_ever(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, 1, retry_after=60.0)
    clock.seconds += 59.0
    assert not breakers.allows("m", "k")
    clock.seconds += 1.0
    assert breakers.allows("m", "k")
    fail(breakers, 1, retry_after=1e9)
    clock.seconds += LONGEST_OPEN
    assert breakers.allows("m", "k")
