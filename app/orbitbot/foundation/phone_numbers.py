"""Telephone numbers as people write them, brought into the digits that WhatsApp uses (E.164 without "+")."""

import re
from typing import Final

from orbitbot.foundation.errors import InvalidInput

NUMBER_HELP: Final = "8 to 15 digits with the country's code, such as +55 11 91234-5678"
_SEPARATORS: Final = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]")
_INTERNATIONAL: Final = re.compile(r"[1-9][0-9]{7,14}")
BRAZIL: Final = "55"
_BRAZIL_NATIONAL: Final = re.compile(r"0?([1-9][1-9])(9[0-9]{8}|[2-5][0-9]{7})")  # area, mobile or landline


def parse_number(text: str, *, field: str = "number", country: str = "") -> str:
    """The digits of a number in international form.

    Args:
        field: what the number is called where it came from, for the message.
        country: `55` also takes Brazilian numbers without the country's code, as people there write them.

    Raises:
        InvalidInput: it cannot be a number. The message does not repeat it.
    """
    digits = _SEPARATORS.sub("", text)
    international = digits.startswith(("+", "00"))
    digits = digits.removeprefix("+").removeprefix("00")
    if not digits.isascii() or not digits.isdigit():
        raise InvalidInput(field, f"not a telephone number; allowed: {NUMBER_HELP}")
    if not international and country == BRAZIL and (national := _BRAZIL_NATIONAL.fullmatch(digits)):
        return BRAZIL + "".join(national.groups())
    if not _INTERNATIONAL.fullmatch(digits):
        raise InvalidInput(field, f"not a telephone number; allowed: {NUMBER_HELP}")
    if digits.startswith(BRAZIL) and not _BRAZIL_NATIONAL.fullmatch(digits.removeprefix(BRAZIL)):
        raise InvalidInput(field, "a Brazilian number is 55, the area code and 8 or 9 digits")
    return digits


def format_number(digits: str) -> str:
    """The number for people to read: Brazilian ones grouped, others as `+digits`."""
    if digits.startswith(BRAZIL) and (national := _BRAZIL_NATIONAL.fullmatch(digits.removeprefix(BRAZIL))):
        area, local = national.groups()
        return f"+55 {area} {local[:-4]}-{local[-4:]}"
    return f"+{digits}" if digits else ""
