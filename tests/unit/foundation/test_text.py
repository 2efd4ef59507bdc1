"""Strings from outside are looked through, however deep."""

from typing import Any

import msgspec
import pytest

from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.text import check_strings


class Inner(msgspec.Struct, rename="camel"):
    some_text: str


class Outer(msgspec.Struct, rename="camel"):
    first_text: str = ""
    inner_list: list[Inner] = []
    free_form: dict[str, Any] = {}
    number: int = 0


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (Outer(first_text="\0"), "firstText"),
        (Outer(inner_list=[Inner("x"), Inner("a\0b")]), "innerList[1].someText"),
        (Outer(free_form={"a": {"b": ["", "\0"]}}), "freeForm.a.b[1]"),
        (Outer(free_form={"a\0": 1}), "freeForm.(a name)"),
        (["\0"], "[0]"),
        ("\0", "body"),
    ],
)
def test_a_nul_byte_is_named(value: Any, field: str) -> None:
    with pytest.raises(InvalidInput, match="NUL") as refused:
        check_strings(value)
    assert refused.value.field == field


def test_too_long_a_string_is_named() -> None:
    check_strings(Outer(first_text="x" * 10), limit=10)
    with pytest.raises(InvalidInput, match="11 characters, at most 10"):
        check_strings(Outer(inner_list=[Inner("x" * 11)]), limit=10)


def test_everything_else_passes() -> None:
    check_strings(Outer("é\n\t", [Inner("x")], {"a": [1, 2.5, None, True]}, 3))
