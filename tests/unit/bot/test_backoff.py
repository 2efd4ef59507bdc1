"""Pauses between attempts."""

from orbitbot.bot.backoff import FIRST_PAUSE, Backoff


def test_pauses_grow_to_the_ceiling_with_jitter() -> None:
    backoff = Backoff(ceiling=15.0)
    pauses = [backoff.next() for _ in range(2000)]
    assert FIRST_PAUSE / 2 <= pauses[0] <= FIRST_PAUSE
    assert FIRST_PAUSE <= pauses[2] <= 4 * FIRST_PAUSE
    assert all(7.5 <= pause <= 15.0 for pause in pauses[10:])
    assert len(set(pauses[10:])) > 100, "bots must not come back in the same instant"


def test_reset_starts_from_the_shortest_pause() -> None:
    backoff = Backoff(ceiling=15.0)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= FIRST_PAUSE


def test_what_the_gateway_asks_for_is_honoured_up_to_a_minute() -> None:
    assert Backoff(ceiling=15.0).next(retry_after=30.0) >= 30.0
    assert 60.0 <= Backoff(ceiling=15.0).next(retry_after=3600.0) <= 62.0
