"""Telephone numbers as people write them."""

import pytest

from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.phone_numbers import format_number, parse_number


@pytest.mark.parametrize(
    ("written", "country", "digits"),
    [
        ("+55 11 91234-5678", "", "5511912345678"),
        ("0055 (11) 91234.5678", "", "5511912345678"),
        ("5511912345678", "", "5511912345678"),
        ("(11) 91234-5678", "55", "5511912345678"),
        ("011 91234-5678", "55", "5511912345678"),
        ("11 3234-5678", "55", "551132345678"),
        ("+1 415 555 2671", "55", "14155552671"),
        ("+55\u00a011\u201191234\u20115678", "", "5511912345678"),
    ],
)
def test_digits(written: str, country: str, digits: str) -> None:
    assert parse_number(written, country=country) == digits


@pytest.mark.parametrize(
    "written",
    [
        "",
        "+",
        "12",
        "+0 11 91234-5678",
        "+55 11 1234",
        "+55 01 91234-5678",
        "+5511912345678x",
        "٥٥١١٩١٢٣٤٥٦٧٨",
    ],
)
def test_no_numbers(written: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_number(written, field="phone")
    assert caught.value.field == "phone"


def test_numbers_for_people() -> None:
    assert format_number("5511912345678") == "+55 11 91234-5678"
    assert format_number("14155552671") == "+14155552671"
    assert format_number("") == ""
