"""Ids and times from outside."""

import math

import pytest

from orbitbot.conversations.service import check_id, check_time
from orbitbot.foundation.errors import InvalidInput


@pytest.mark.parametrize("value", ["5511900000001", "5511900000001@s.whatsapp.net", "3EB0C7", "x" * 200, "é"])
def test_ids_that_are_taken(value: str) -> None:
    check_id(value, "id")


@pytest.mark.parametrize(
    "value", ["", " ", "a b", "a\tb", "a\n", "\0", "x" * 201, "\x7f", "a\u2028b", "\u00a0"]
)
def test_ids_that_are_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="id"):
        check_id(value, "id")


def test_times() -> None:
    check_time(0.0, "at")
    check_time(1_700_000_000.5, "at")
    for value in (-1.0, 1e12, math.inf, math.nan):
        with pytest.raises(InvalidInput, match="at"):
            check_time(value, "at")
