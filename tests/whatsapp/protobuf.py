"""Protocol Buffers without schemas: a message is its fields, by number.

The server reads and writes a dozen fields of a dozen messages. It does so by this and not by neonize's own
generated classes, so that it shares no code with what it tests and runs where neonize is not installed.
"""

import struct
from collections.abc import Sequence
from typing import Final

_VARINT: Final = 0
_BYTES: Final = 2

_DOUBLE: Final = 1

Value = int | float | bytes | str


def encode(*fields: tuple[int, Value | None]) -> bytes:
    """A message of `(number, value)` fields; a value of None leaves the field out."""
    message = bytearray()
    for number, value in fields:
        if value is None:
            continue
        if isinstance(value, float):
            message += _varint(number << 3 | _DOUBLE) + struct.pack("<d", value)
        elif isinstance(value, int):
            message += _varint(number << 3 | _VARINT) + _varint(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            message += _varint(number << 3 | _BYTES) + _varint(len(content)) + content
    return bytes(message)


class Fields:
    """A decoded message; an absent field reads as zero or empty."""

    def __init__(self, content: bytes) -> None:
        """Read a message.

        Raises:
            ValueError: it is not one.
        """
        self._values: dict[int, list[int | bytes]] = {}
        position = 0
        while position < len(content):
            key, position = _read_varint(content, position)
            value: int | bytes
            match key & 7:
                case 0:
                    value, position = _read_varint(content, position)
                case 2:
                    length, position = _read_varint(content, position)
                    value, position = content[position : position + length], position + length
                case 1:
                    value, position = int.from_bytes(content[position : position + 8], "little"), position + 8
                case 5:
                    value, position = int.from_bytes(content[position : position + 4], "little"), position + 4
                case other:
                    raise ValueError(f"wire type {other}")
            if position > len(content):
                raise ValueError("the message is cut off")
            self._values.setdefault(key >> 3, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._values

    def number(self, number: int, default: int = 0) -> int:
        """An integer field."""
        value = self._last(number)
        return value if isinstance(value, int) else default

    def double(self, number: int) -> float:
        """A floating-point field."""
        return struct.unpack("<d", self.number(number).to_bytes(8, "little"))[0]

    def content(self, number: int) -> bytes:
        """A bytes field; empty where absent."""
        value = self._last(number)
        return value if isinstance(value, bytes) else b""

    def text(self, number: int) -> str:
        """A string field; empty where absent."""
        return self.content(number).decode()

    def message(self, number: int) -> "Fields":
        """A message field; one without fields where absent."""
        return Fields(self.content(number))

    def all(self, number: int) -> Sequence[bytes]:
        """Every value of a repeated bytes or message field."""
        return [value for value in self._values.get(number, []) if isinstance(value, bytes)]

    def _last(self, number: int) -> int | bytes | None:
        values = self._values.get(number)
        return values[-1] if values else None


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers are ten bytes long
    content = bytearray()
    while True:
        byte, value = value & 127, value >> 7
        if not value:
            content.append(byte)
            return bytes(content)
        content.append(byte | 128)


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(content):
            raise ValueError("the message is cut off")
        byte = content[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if not byte & 128:
            return value, position
