"""WhatsApp's binary nodes: XML-like stanzas in which well-known words are one or two bytes.

A node is a list: tag, attribute names and values, and content if there is any. `tokens.json` holds the
dictionary of protocol version 3.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TOKENS = json.loads((Path(__file__).parent / "tokens.json").read_bytes())
_SINGLE: Final[list[str]] = _TOKENS["single"]
_DOUBLE: Final[list[list[str]]] = _TOKENS["double"]
_CODES: Final = {word: code for code, word in enumerate(_SINGLE) if word}

_LIST_EMPTY, _LIST_8, _LIST_16 = 0, 248, 249
_BINARY_8, _BINARY_20, _BINARY_32 = 252, 253, 254
_DICTIONARY_0, _DICTIONARY_3 = 236, 239
_HEX, _NIBBLE = 251, 255
_DEVICE_JID, _JID = 247, 250

PHONE, LID, GROUP = "s.whatsapp.net", "lid", "g.us"  # servers of a JID


@dataclass(frozen=True)
class Jid:
    """An address: `user:device@server`. `user` is empty for the server itself."""

    user: str
    server: str = PHONE
    device: int = 0

    def __str__(self) -> str:
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}"

    @property
    def bare(self) -> "Jid":
        """Without the device."""
        return Jid(self.user, self.server)


SERVER: Final = Jid("", PHONE)

Attributes = Mapping[str, str | Jid]


@dataclass
class Node:
    """One stanza, or a part of one."""

    tag: str
    attributes: Attributes = field(default_factory=dict)
    content: bytes | Sequence["Node"] | None = None

    @property
    def children(self) -> Sequence["Node"]:
        return (
            self.content if isinstance(self.content, Sequence) and not isinstance(self.content, bytes) else []
        )

    @property
    def data(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else b""

    def child(self, *path: str) -> "Node | None":
        """The first child with that tag, or the one at the end of a path of tags."""
        node: Node | None = self
        for tag in path:
            node = next((each for each in node.children if each.tag == tag), None) if node else None
        return node

    def text(self, name: str) -> str:
        """An attribute as text; empty where absent."""
        return str(self.attributes.get(name, ""))

    def jid(self, name: str) -> Jid:
        """An attribute that is an address.

        Raises:
            ValueError: it is absent or none.
        """
        value = self.attributes.get(name)
        if not isinstance(value, Jid):
            raise ValueError(  # noqa: TRY004  (the wire's mistake, not the caller's)
                f"<{self.tag}> has no address {name!r}: {value!r}"
            )
        return value

    def __str__(self) -> str:
        attributes = "".join(f" {name}='{value}'" for name, value in self.attributes.items())
        inner = f"{len(self.data)} bytes" if self.data else "".join(map(str, self.children))
        return f"<{self.tag}{attributes}>{inner}</{self.tag}>"


def encode(node: Node) -> bytes:
    """A node as it goes over the wire, uncompressed."""
    return b"\0" + _node(node)


def decode(content: bytes) -> Node:
    """A node from the wire.

    Raises:
        ValueError, IndexError: it is not one.
    """
    plain = zlib.decompress(content[1:]) if content[0] & 2 else content[1:]
    return _Reader(plain).node()


def _node(node: Node) -> bytes:
    content = b""
    if isinstance(node.content, bytes):
        content = _string(node.content)
    elif node.content is not None:
        content = _list(len(node.content)) + b"".join(_node(each) for each in node.content)
    size = 1 + 2 * len(node.attributes) + (node.content is not None)
    attributes = b"".join(_string(name) + _value(value) for name, value in node.attributes.items())
    return _list(size) + _string(node.tag) + attributes + content


def _list(size: int) -> bytes:
    if size == 0:
        return bytes([_LIST_EMPTY])
    return bytes([_LIST_8, size]) if size < 256 else bytes([_LIST_16]) + size.to_bytes(2, "big")


def _value(value: str | Jid) -> bytes:
    if isinstance(value, str):
        return _string(value)
    if value.device:
        return bytes([_DEVICE_JID, value.server == LID, value.device]) + _string(value.user)
    user = _string(value.user) if value.user else bytes([_LIST_EMPTY])
    return bytes([_JID]) + user + _string(value.server)


def _string(value: str | bytes) -> bytes:
    if isinstance(value, str):
        if value in _CODES:
            return bytes([_CODES[value]])
        value = value.encode()
    if len(value) < 1 << 8:
        return bytes([_BINARY_8, len(value)]) + value
    if len(value) < 1 << 20:
        return bytes([_BINARY_20]) + len(value).to_bytes(3, "big") + value
    return bytes([_BINARY_32]) + len(value).to_bytes(4, "big") + value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def node(self) -> Node:
        size = self._size(self._number())
        tag = self._text()
        attributes = {}
        for _ in range((size - 1) // 2):
            name = self._text()
            value = self._read()
            attributes[name] = value if isinstance(value, Jid) else _as_text(value)
        content: bytes | Sequence[Node] | None = None
        if size % 2 == 0:
            read = self._read()
            content = read.encode() if isinstance(read, str) else read if not isinstance(read, Jid) else None
        return Node(tag, attributes, content)

    def _number(self, size: int = 1) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        taken = self._content[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("the node is cut off")
        self._at += size
        return taken

    def _size(self, code: int) -> int:
        return 0 if code == _LIST_EMPTY else self._number() if code == _LIST_8 else self._number(2)

    def _text(self) -> str:
        return _as_text(self._read())

    def _read(self) -> str | bytes | Jid | list[Node] | None:  # noqa: PLR0911  (one return per kind)
        code = self._number()
        match code:
            case 0:
                return None
            case 248 | 249:
                return [self.node() for _ in range(self._size(code))]
            case 252:
                return self._take(self._number())
            case 253:
                return self._take(self._number(3))
            case 254:
                return self._take(self._number(4))
            case 250:
                user = self._read()
                return Jid(_as_text(user), self._text())
            case 247:
                domain, device = self._number(), self._number()
                return Jid(self._text(), LID if domain == 1 else PHONE, device)
            case 251 | 255:
                return self._packed("0123456789ABCDEF" if code == _HEX else "0123456789-.\0\0\0\0")
        if _DICTIONARY_0 <= code <= _DICTIONARY_3:
            return _DOUBLE[code - _DICTIONARY_0][self._number()]
        return _SINGLE[code]

    def _packed(self, alphabet: str) -> str:
        head = self._number()
        text = "".join(alphabet[byte >> 4] + alphabet[byte & 15] for byte in self._take(head & 127))
        return text[:-1] if head & 128 else text


def _as_text(value: str | bytes | Jid | list[Node] | None) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return "" if value is None else str(value)
