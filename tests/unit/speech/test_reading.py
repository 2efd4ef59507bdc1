"""Tokens to segments, and text that nobody said."""

import math
from collections.abc import Sequence

import pytest

from orbitbot.speech.attempts import Attempt
from orbitbot.speech.reading import HeardSegment, confidence, read, repeats, split, why_invented

STAMP = 1000  # id of the token of time 0


def stamp(seconds: float) -> int:
    return STAMP + round(seconds / 0.02)


def text_of(tokens: Sequence[int]) -> str:
    return "".join(f" w{token}" for token in tokens if token < STAMP)


def attempt(*tokens: int, log_probability: float = -0.2, no_speech: float = 0.0) -> Attempt:
    return Attempt(tokens, text_of(tokens), log_probability, no_speech, 0.0)


def segment(text: str, log_probability: float = -0.2, no_speech: float = 0.0) -> HeardSegment:
    compression = Attempt((), text, 0, 0, 0).compression
    return HeardSegment(0.0, 1.0, text, (1,), log_probability, no_speech, compression, 0.0)


def test_without_stamps_the_window_is_one_segment() -> None:
    assert split([1, 2, 3], STAMP, 500) == ([(0.0, 5.0, [1, 2, 3])], 500)


def test_pairs_of_stamps_end_segments_and_one_alone_ends_the_speech() -> None:
    tokens = [stamp(0), 1, stamp(1), stamp(1.2), 2, stamp(3)]

    spans, advance = split(tokens, STAMP, 500)

    assert [(start, pytest.approx(end)) for start, end, _ in spans] == [(0, 1.0), (pytest.approx(1.2), 3.0)]
    assert advance == 500


def test_after_a_pair_at_the_end_the_rest_is_listened_to() -> None:
    spans, advance = split([stamp(0), 1, stamp(2), stamp(2)], STAMP, 500)

    assert len(spans) == 1
    assert advance == 200


def test_a_window_that_ends_where_it_begins_does_not_go_on_for_ever() -> None:
    assert split([stamp(0), stamp(0)], STAMP, 500)[1] == 500


def test_times_are_those_of_the_piece() -> None:
    found = read(attempt(stamp(0.5), 1, stamp(2)), text_of, STAMP, seek=300, size=400)

    (heard,) = found.segments
    assert (heard.start, heard.end, heard.text) == (pytest.approx(3.0), pytest.approx(5.0), " w1")
    assert found.seek == 700


def test_unsure_words_over_no_speech_are_left_out() -> None:
    found = read(attempt(1, 2, log_probability=-1.5, no_speech=0.7), text_of, STAMP, seek=0, size=400)

    assert (found.segments, found.seek, found.invented) == ((), 400, "no speech heard")


@pytest.mark.parametrize(
    ("invented", "why"),
    [
        (segment("bom dia", no_speech=0.9), "no speech heard"),
        (segment("bom dia", log_probability=-1.2), "no speech heard"),
        (segment("obrigado " * 50), "only a repetition heard"),
        (
            segment(" ".join(f"palavra{number}" for number in range(20))),
            "more words than anybody could say in that time",
        ),
        (segment("Legendas pela comunidade Amara.org", -0.5), "only a phrase heard that is often invented"),
        (segment("Thanks for watching!", -0.6), "only a phrase heard that is often invented"),
        (segment("♪ ♪", -0.5), "only a phrase heard that is often invented"),
    ],
)
def test_what_nobody_said(invented: HeardSegment, why: str) -> None:
    assert why_invented(invented, window_seconds=2.0) == why


@pytest.mark.parametrize(
    "said",
    [
        segment("quero sete pacotes de arroz"),
        segment("quero sete pacotes de arroz", log_probability=-0.9),
        segment("Obrigado por assistir.", log_probability=-0.1),  # a shop may hear that, too
        segment("não não não não"),
    ],
)
def test_what_somebody_said(said: HeardSegment) -> None:
    assert why_invented(said, window_seconds=2.0) == ""


def test_a_phrase_that_follows_itself_often_is_a_loop() -> None:
    assert repeats("até logo " * 8)
    assert repeats("e então " + "eu não sei o que " * 7)
    assert not repeats("um dois um dois três quatro")


def test_confidence_is_the_geometric_mean_over_all_tokens() -> None:
    sure = HeardSegment(0, 1, "a", (1, 2, 3), 0.0, 0, 1, 0)
    unsure = HeardSegment(0, 1, "b", (1,), -0.4, 0, 1, 0)

    assert confidence([]) == 0.0
    assert confidence([sure]) == 1.0
    assert confidence([sure, unsure]) == pytest.approx(math.exp(-0.1))
