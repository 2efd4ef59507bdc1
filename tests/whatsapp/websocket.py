"""From a TCP connection to WhatsApp's frames: HTTP CONNECT, TLS, HTTP upgrade, WebSocket, 3-byte lengths.

frame = 3-byte length | content, in as many binary WebSocket messages as it takes
"""

import asyncio
import base64
import hashlib
import ssl
from dataclasses import dataclass
from typing import Final

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_CLOSE, _PING, _PONG, _BINARY = 8, 9, 10, 2
_LONGEST_HEAD: Final = 16_384  # bytes


@dataclass(frozen=True)
class Request:
    """The head of an HTTP request; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> "Request":
        """Read a head.

        Raises:
            EOFError: the connection was closed before its end.
        """
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
        return cls(method, target, headers)


async def accept_proxy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
) -> Request | None:
    """Play the HTTP proxy that the client was given, and WhatsApp behind it: every name leads here.

    Returns the first request inside the tunnel; None where the client asked for another host.
    """
    outer = await Request.read(reader)
    host = outer.target.rpartition(":")[0]
    if outer.method != "CONNECT" or not host.endswith((".whatsapp.com", ".whatsapp.net")):
        await respond(writer, "403 Forbidden")
        return None
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await writer.drain()
    await writer.start_tls(context)
    return await Request.read(reader)


async def respond(writer: asyncio.StreamWriter, status: str, body: bytes = b"") -> None:
    """Answer a plain HTTP request; the connection ends with it."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


class Frames:
    """WhatsApp's frames over an upgraded connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = bytearray()

    async def upgrade(self, request: Request) -> None:
        """Answer the client's request for a WebSocket."""
        key = request.headers["sec-websocket-key"]
        accepted = base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode()).digest()).decode()
        self._writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accepted}\r\n\r\n".encode()
        )
        await self._writer.drain()

    async def take(self, size: int) -> bytes:
        """The next `size` bytes, whatever messages they come in.

        Raises:
            EOFError: the client has closed.
        """
        while len(self._buffer) < size:
            self._buffer += await self._message()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def read(self) -> bytes:
        """The next frame's content."""
        return await self.take(int.from_bytes(await self.take(3), "big"))

    def write(self, content: bytes) -> None:
        """Send a frame."""
        self._send(_BINARY, len(content).to_bytes(3, "big") + content)

    def close(self) -> None:
        """End the connection at once."""
        self._writer.close()

    async def drain(self) -> None:
        await self._writer.drain()

    async def _message(self) -> bytes:
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 127
            if size >= 126:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
            mask = await self._reader.readexactly(4) if second & 128 else bytes(4)
            content = _unmask(await self._reader.readexactly(size), mask)
            match first & 15:
                case 8:
                    raise EOFError("the client has closed the WebSocket")
                case 9:
                    self._send(_PONG, content)
                case 10:
                    continue
                case _:
                    return content

    def _send(self, operation: int, content: bytes) -> None:
        size = len(content)
        if size < 126:
            head = bytes([128 | operation, size])
        elif size < 1 << 16:
            head = bytes([128 | operation, 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([128 | operation, 127]) + size.to_bytes(8, "big")
        self._writer.write(head + content)


def _unmask(content: bytes, mask: bytes) -> bytes:
    if not content:
        return content
    key = (mask * (len(content) // 4 + 1))[: len(content)]
    return (int.from_bytes(content, "big") ^ int.from_bytes(key, "big")).to_bytes(len(content), "big")
