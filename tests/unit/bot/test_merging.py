"""Bursts: which messages become one turn, from journaled times alone."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orbitbot.bot.merging import MAX_MEDIA, MAX_MEMBERS, MAX_TEXT, oldest_burst
from orbitbot.bot.models import JournaledMessage, StoredMedia

QUIET, LONGEST = 4.0, 15.0


def message(
    at: float, *, text: str = "oi", media: StoredMedia | None = None, voice: bool = False
) -> JournaledMessage:
    return JournaledMessage(
        id=f"m{at}",
        chat="5511",
        contact="5511",
        group=False,
        type="voice" if voice or media else "text",
        text=text,
        media=media,
        sent_at=at,
        journaled_at=at,
    )


def bursts(
    pending: Sequence[JournaledMessage], quiet: float = QUIET, longest: float = LONGEST
) -> list[list[float]]:
    """Everything that is pending, burst by burst, as journaled times."""
    groups = []
    while burst := oldest_burst(pending, quiet_seconds=quiet, burst_seconds=longest):
        groups.append([each.journaled_at for each in burst.members])
        pending = pending[len(burst.members) :]
    return groups


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], []),
        ([0], [[0]]),
        ([0, 3.9, 7.8], [[0, 3.9, 7.8]]),
        ([0, 4.0], [[0], [4.0]]),
        ([0, 3, 6, 9, 12, 14.9, 15.0, 17], [[0, 3, 6, 9, 12, 14.9], [15.0, 17]]),
        ([10, 9.5, 9.6], [[10, 9.5, 9.6]]),  # the clock was set back a little
    ],
)
def test_a_burst_ends_with_quiet_or_after_the_longest_time(
    times: list[float], expected: list[list[float]]
) -> None:
    assert bursts([message(at) for at in times]) == expected


def test_without_quiet_time_nothing_is_merged() -> None:
    assert bursts([message(1), message(1), message(1)], quiet=0) == [[1], [1], [1]]


def test_a_burst_is_due_when_it_closes() -> None:
    burst = oldest_burst([message(0), message(3)], quiet_seconds=QUIET, burst_seconds=LONGEST)
    assert burst is not None
    assert burst.closes_at == 7
    assert not burst.is_due(6.9)
    assert burst.is_due(7.0)
    assert burst.is_due(-5000.0), "a clock that was set back far must not hold it up"
    assert not burst.is_due(2.9), "a clock that was set back a little closes nothing early"


def test_a_turn_stays_below_what_the_gateway_takes() -> None:
    many = [message(0.01 * n) for n in range(MAX_MEMBERS + 1)]
    assert [len(group) for group in bursts(many)] == [MAX_MEMBERS, 1]
    long = [message(0, text="x" * (MAX_TEXT // 2)), message(1, text="x" * (MAX_TEXT // 2)), message(2)]
    assert bursts(long) == [[0], [1, 2]]
    notes = [message(at, media=StoredMedia(f"{at}", MAX_MEDIA // 2)) for at in (0, 1, 2)]
    assert bursts(notes) == [[0, 1], [2]]
    assert bursts([message(0, text="x" * MAX_TEXT * 2)]) == [[0]], "one that is too long goes alone"


def test_a_voice_note_without_a_file_stands_alone() -> None:
    assert bursts([message(0), message(1, voice=True), message(2), message(3)]) == [[0], [1], [2, 3]]


@given(st.lists(st.integers(0, 10), max_size=40), st.integers(0, 10), st.integers(0, 30))
def test_every_message_is_in_one_burst_in_order_and_none_is_longer_than_it_may_be(
    gaps: list[int], quiet: int, longest: int
) -> None:
    times = list(itertools.accumulate(gaps))
    groups = bursts([message(at) for at in times], quiet, longest)
    assert [at for group in groups for at in group] == times
    for group in groups:
        assert len(group) == 1 or group[-1] - group[0] < longest
        assert all(later - earlier < quiet for earlier, later in itertools.pairwise(group))
    for one, following in itertools.pairwise(groups):
        assert following[0] - one[-1] >= quiet or following[0] - one[0] >= longest or len(one) == MAX_MEMBERS


@given(st.lists(st.integers(0, 6), min_size=2, max_size=20), st.data())
def test_what_comes_after_a_burst_was_due_does_not_change_it(gaps: list[int], data: st.DataObject) -> None:
    pending = [message(at) for at in itertools.accumulate(gaps)]
    seen = data.draw(st.integers(1, len(pending) - 1))
    early = oldest_burst(pending[:seen], quiet_seconds=QUIET, burst_seconds=LONGEST)
    late = oldest_burst(pending, quiet_seconds=QUIET, burst_seconds=LONGEST)
    assert early is not None
    assert late is not None
    if early.is_due(pending[seen].journaled_at):
        assert late.members == early.members
