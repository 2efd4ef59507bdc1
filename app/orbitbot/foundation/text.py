"""Strings from outside: what PostgreSQL cannot store, or nobody should, is refused by field name."""

from collections.abc import Mapping
from typing import Any

import msgspec

from orbitbot.foundation.errors import InvalidInput


def check_strings(value: Any, *, field: str = "", limit: int | None = None) -> None:
    """Look through a decoded body, however deep, for strings that must not get in.

    Args:
        value: a Struct, mapping, list, string, or anything else (which passes).
        field: name of `value` itself, for the message.
        limit: longest allowed string in characters; None for no limit.

    Raises:
        InvalidInput: a string holds a NUL byte or is too long; names the field as JSON has it.
    """
    match value:
        case str():
            if "\0" in value:
                raise InvalidInput(field or "body", "must not hold NUL bytes")
            if limit is not None and len(value) > limit:
                raise InvalidInput(
                    field or "body", f"has {len(value)} characters, at most {limit} are allowed"
                )
        case msgspec.Struct():
            for each in msgspec.structs.fields(value):
                check_strings(getattr(value, each.name), field=_join(field, each.encode_name), limit=limit)
        case Mapping():
            for key, inner in value.items():
                check_strings(str(key), field=_join(field, "(a name)"), limit=limit)
                check_strings(inner, field=_join(field, str(key)), limit=limit)
        case list() | tuple():
            for index, inner in enumerate(value):
                check_strings(inner, field=f"{field}[{index}]", limit=limit)
        case _:
            return


def _join(outer: str, inner: str) -> str:
    return f"{outer}.{inner}" if outer else inner
