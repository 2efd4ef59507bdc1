"""A vocabulary in one of a few lengths, so that batches can share it."""

import pytest

from orbitbot.speech.prompts import LENGTHS, filled


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100, 222, 223, 500])
def test_every_length_is_a_shared_one_and_the_end_is_kept(count: int) -> None:
    tokens = list(range(count))

    found = filled(tokens)

    assert len(found) in LENGTHS
    kept = tokens[-223:]
    assert found[-len(kept) :] == kept
    assert set(found) == set(kept)


def test_nothing_stays_nothing() -> None:
    assert filled([]) == []
