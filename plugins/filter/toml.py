"""Filter `to_toml`: a service's settings file from the mapping that its role builds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def to_toml(settings: Mapping[str, Any]) -> str:
    """`settings` as TOML: plain values first, then a table for each value that is a mapping.

    A value that is None is left out (TOML has none).

    Raises:
        AnsibleFilterError: a value has no form in TOML; the message names its key.
    """
    return "".join(_table(settings, ()))


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {
        key: value for key, value in table.items() if value is not None and not isinstance(value, Mapping)
    }
    lines = [f"{_key(key)} = {_value(value, (*path, key))}\n" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            here = (*path, key)
            lines += [f"\n[{'.'.join(map(_key, here))}]\n", *_table(value, here)]
    return lines


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each, path) for each in value)}]"
    raise AnsibleFilterError(f"to_toml: {'.'.join(path)} is {type(value).__name__}, which TOML cannot hold")


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {"to_toml": to_toml}
