"""The bot's HTTP client against servers that behave in every way a server may."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from orbitbot.bot.http import MAX_BODY, Http, Unreachable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Runs `handler` for each connection and counts them."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.connections = 0
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Http]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        http = Http(f"http://127.0.0.1:{self.port}", read_timeout=1.0)
        try:
            yield http
        finally:
            http.close()
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def get(http: Http, body: bytes = b"") -> bytes:
    return (await http.request("GET", "/", headers={}, body=body)).body


def answering(*answers: bytes) -> Handler:
    """Gives each request on a connection the next answer, then closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return handler


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
)
async def test_every_kind_of_answer_is_read(answer: bytes) -> None:
    async with Server(answering(answer)).running() as http:
        assert await get(http) == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\no",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1) + b"x" * (MAX_BODY + 1),
    ],
    ids=["nothing", "half", "half a chunk", "not HTTP", "too much"],
)
async def test_half_an_answer_is_none(answer: bytes) -> None:
    async with Server(answering(answer)).running() as http:
        with pytest.raises(Unreachable):
            await get(http)


async def test_a_connection_is_used_again_while_it_is_open() -> None:
    server = Server(answering(OK, OK, OK))
    async with server.running() as http:
        for _ in range(3):
            await get(http)
        assert server.connections == 1
        async with asyncio.timeout(5):  # the server closes after the third
            while server.connections == 1:
                await get(http)


async def test_a_connection_that_means_to_close_is_not_used_again() -> None:
    server = Server(answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    async with server.running() as http:
        await get(http)
        await get(http)
        assert server.connections == 2


async def test_silence_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with Server(silent).running() as http:
        async with asyncio.timeout(5):
            with pytest.raises(Unreachable, match="too long"):
                await get(http)


async def test_a_refusal_before_the_whole_body_was_read_is_heard() -> None:
    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 50_000

    async with Server(refusing).running() as http:
        headers = {"Content-Length": str(1000 * 50_000)}
        reply = await http.request("POST", "/", headers=headers, body=endless())
        assert reply.status == 413


async def test_a_body_that_breaks_off_breaks_the_request_off() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    async with Server(answering(OK)).running() as http:
        with pytest.raises(ZeroDivisionError):
            await http.request("POST", "/", headers={"Content-Length": "10"}, body=breaking())


async def test_nobody_there_is_said_at_once() -> None:
    server = Server(answering(OK))
    async with server.running():
        port = server.port
    http = Http(f"http://127.0.0.1:{port}", read_timeout=1.0)
    with pytest.raises(Unreachable, match=f"cannot connect to 127.0.0.1:{port}"):
        await get(http)


async def test_retry_after_is_seconds_or_nothing() -> None:
    answers = [
        b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\nRetry-After: %s\r\n\r\n" % value
        for value in (b"7", b"Wed, 21 Oct 2026 07:28:00 GMT", b"-3", b"\xb2")
    ]
    async with Server(answering(*answers)).running() as http:
        replies = [await http.request("GET", "/", headers={}, body=b"") for _ in answers]
        assert [reply.retry_after for reply in replies] == [7.0, None, None, None]
