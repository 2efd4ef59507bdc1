"""An OpenAI-compatible server that costs next to nothing: streams one answer, and knows how long it took.

`python -m tests.load.provider_double PORT` serves until it is ended. `GET /took` tells, for every request
that named a `#NUMBER` in its last message, the milliseconds from its last byte to the answer's last byte.
"""

import asyncio
import json
import re
import sys
import time
from typing import Final

DELAY: Final = 0.04  # seconds until the first word
GAP: Final = 0.002  # seconds between words
WORDS: Final = ("Sim, ", "temos ", "pão ", "de ", "queijo ", "quentinho ", "agora.")

_NUMBER: Final = re.compile(rb"#(\d+)")
_took: dict[int, float] = {}


def _event(content: object) -> bytes:
    data = b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_PIECES: Final = [
    _event({"model": "test/bench", "choices": [{"delta": {"content": word}, "finish_reason": None}]})
    for word in WORDS
]
_LAST: Final = (
    _event({"model": "test/bench", "choices": [{"delta": {}, "finish_reason": "stop"}]})
    + _event({"choices": [], "usage": {"prompt_tokens": 300, "completion_tokens": 12, "cost": 0.00001}})
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)
_MODELS: Final = json.dumps(
    {
        "data": [
            {"id": "test/bench", "pricing": {"prompt": "1e-7", "completion": "1e-6"}, "context_length": 32000}
        ]
    }
).encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            began = time.perf_counter()
            if head.startswith(b"GET"):
                content = json.dumps(_took).encode() if b" /took" in head.partition(b"\r\n")[0] else _MODELS
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                    + str(len(content)).encode() + b"\r\n\r\n" + content
                )  # fmt: skip
                continue
            await asyncio.sleep(DELAY)
            writer.write(_HEAD)
            for piece in _PIECES:
                writer.write(piece)
                await asyncio.sleep(GAP)
            writer.write(_LAST)
            await writer.drain()
            numbers = _NUMBER.findall(body)
            if numbers:
                _took[int(numbers[-1])] = (time.perf_counter() - began) * 1000
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()


async def main(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.start_server(_serve, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
