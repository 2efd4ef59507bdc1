"""When a window is tried again, and which attempt counts."""

from orbitbot.speech.attempts import TEMPERATURES, Attempt, Attempts

LOOP = "tchau " * 60


def attempt(
    text: str = "bom dia", log_probability: float = -0.2, no_speech: float = 0.0, temperature: float = 0.0
) -> Attempt:
    return Attempt((1, 2), text, log_probability, no_speech, temperature)


def test_a_good_first_attempt_counts() -> None:
    good = attempt()

    assert Attempts().take(good) is good


def test_an_unsure_or_repeating_one_is_tried_again_hotter() -> None:
    for poor in (attempt(log_probability=-1.4), attempt(text=LOOP)):
        attempts = Attempts()
        assert attempts.temperature == TEMPERATURES[0]
        assert attempts.take(poor) is None
        assert attempts.temperature == TEMPERATURES[1]


def test_unsure_words_over_no_speech_are_not_tried_again() -> None:
    silent = attempt(log_probability=-1.4, no_speech=0.7)

    assert Attempts().take(silent) is silent


def test_after_all_the_most_probable_counts_that_does_not_repeat_itself() -> None:
    attempts = Attempts()
    better, worse = attempt(log_probability=-1.2), attempt(log_probability=-1.9)

    assert attempts.take(attempt(text=LOOP, log_probability=-0.1)) is None
    assert attempts.take(worse) is None
    assert attempts.take(better) is better
    assert attempts.count == len(TEMPERATURES)


def test_where_all_repeat_themselves_the_most_probable_counts() -> None:
    attempts = Attempts(first_temperature=0.2)
    best = attempt(text=LOOP, log_probability=-0.1)

    assert attempts.take(best) is None
    assert attempts.take(attempt(text=LOOP, log_probability=-0.3)) is best
