"""The few HTTP calls a bot makes: HTTP/1.1 by h11 over asyncio's streams, connections kept for reuse.

A full HTTP client (httpcore with anyio) costs each of hundreds of bots 3 MB more, measured, and offers
nothing else that is needed here.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import h11
import msgspec

from orbitbot import __version__
from orbitbot.foundation.errors import Unavailable

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT: Final = 5.0  # seconds
WRITE_TIMEOUT: Final = 30.0  # seconds without progress
MAX_CONNECTIONS: Final = 24  # 16 turns at once, and reports, signs of life and tokens beside them
MAX_IDLE: Final = 4  # connections kept for reuse
IDLE_TIME: Final = 20.0  # seconds after which an idle connection is not used again
MAX_BODY: Final = 2_000_000  # bytes of an answer
_CHUNK: Final = 65_536  # bytes

Body = bytes | AsyncIterator[bytes]


class Unreachable(Unavailable):
    """No complete HTTP answer came; the request may or may not have been processed."""

    problem = "unreachable"
    title = "No answer came"


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds from `Retry-After`; None without one, or with one that is a date."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isascii() and value.isdigit() else None


class Http:
    """Requests to one server.

    Args:
        base_url: scheme, host and port.
        read_timeout: seconds from the end of a request to the end of its answer, after which it is given up.
    """

    def __init__(self, base_url: str, *, read_timeout: float) -> None:
        url = urlsplit(base_url)
        self._host = url.hostname or ""
        self._secure = url.scheme == "https"
        self._port = url.port or (443 if self._secure else 80)
        self._authority = url.netloc.rpartition("@")[2]
        self._read_timeout = read_timeout
        self._tls = _tls() if self._secure else None
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[_Connection] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Body,
        read_timeout: float | None = None,
    ) -> Reply:
        """Send one request and read the whole answer.

        Args:
            body: with an iterator, `headers` must hold the `Content-Length`.

        Raises:
            Unreachable: connecting, sending or reading failed or took too long.
        """
        head = {"Host": self._authority, "User-Agent": f"orbitbot/{__version__}", **headers}
        if isinstance(body, bytes):
            head["Content-Length"] = str(len(body))
        request = h11.Request(method=method, target=path, headers=list(head.items()))
        async with self._slots:
            connection = self._from_idle() or await self._connect()
            reusable = False
            try:
                reply = await connection.exchange(request, body, read_timeout or self._read_timeout)
                reusable = connection.is_reusable() and len(self._idle) < MAX_IDLE
            except TimeoutError as error:
                raise Unreachable("the answer took too long") from error
            except (OSError, EOFError, h11.ProtocolError) as error:
                raise Unreachable(f"{type(error).__name__}: {error}") from error
            finally:
                if reusable:
                    self._idle.append(connection)
                else:
                    connection.close()
        return reply

    def close(self) -> None:
        """Close the idle connections; one in use is closed by its request."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _from_idle(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh():
                return connection
            connection.close()
        return None

    async def _connect(self) -> "_Connection":
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        except TimeoutError as error:
            raise Unreachable(f"connecting to {self._authority} took too long") from error
        except OSError as error:
            raise Unreachable(f"cannot connect to {self._authority}: {error.strerror or error}") from error
        return _Connection(reader, writer)


def _tls() -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415  (a bot whose gateway is at http:// does without: see small.py)

    return ssl.create_default_context()


class _Connection:
    """One connection: one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._idle_since = 0.0

    def is_reusable(self) -> bool:
        """Whether both sides ended the exchange properly and mean to go on; prepares the next one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self._idle_since = asyncio.get_running_loop().time()
        return True

    def is_fresh(self) -> bool:
        """Whether the server is likely to be still there."""
        idle = asyncio.get_running_loop().time() - self._idle_since
        return idle < IDLE_TIME and not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        """Close without waiting for the other side."""
        self._writer.transport.abort()

    async def exchange(self, request: h11.Request, body: Body, read_timeout: float) -> Reply:
        """Send a request and read the answer.

        The answer is read while the body is still being sent: a server that refuses a large one answers
        early and closes, and its answer must not be lost in the broken pipe.
        """
        self._write(request)
        sending = asyncio.create_task(self._send(body))
        reading = asyncio.create_task(self._read_reply())
        try:
            await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not isinstance(sending.exception(), ConnectionError):
                sending.result()
            async with asyncio.timeout(read_timeout):
                return await reading
        finally:
            for task in (sending, reading):
                task.cancel()
            await asyncio.gather(sending, reading, return_exceptions=True)

    async def _send(self, body: Body) -> None:
        if isinstance(body, bytes):
            if body:
                self._write(h11.Data(body))
        else:
            async for chunk in body:
                self._write(h11.Data(chunk))
                await self._drain()
        self._write(h11.EndOfMessage())
        await self._drain()

    def _write(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def _drain(self) -> None:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await self._writer.drain()

    async def _read_reply(self) -> Reply:
        response: h11.Response | None = None
        content = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_CHUNK))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                content += event.data
                if len(content) > MAX_BODY:
                    raise h11.RemoteProtocolError(f"the answer is longer than {MAX_BODY} bytes")
            elif isinstance(event, h11.EndOfMessage) and response is not None:
                headers = {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers
                }
                return Reply(response.status_code, headers, bytes(content))
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise EOFError("the connection was closed without an answer")
