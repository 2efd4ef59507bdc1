"""The few HTTP calls a bot makes, over one small connection pool."""

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpcore
import msgspec

from orbitbot.foundation.errors import Unavailable

CONNECT_TIMEOUT: Final = 5.0  # seconds
WRITE_TIMEOUT: Final = 30.0  # seconds without progress
MAX_CONNECTIONS: Final = 24  # 16 turns at once, and reports, signs of life and tokens beside them
MAX_BODY: Final = 2_000_000  # bytes of an answer

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
        read_timeout: seconds without a byte of an answer after which a request is given up.
    """

    def __init__(self, base_url: str, *, read_timeout: float) -> None:
        self._base_url = base_url.rstrip("/")
        self._read_timeout = read_timeout
        secure = base_url.startswith("https:")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context() if secure else None,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=20.0,
        )

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

        Raises:
            Unreachable: connecting, sending or reading failed or took too long.
        """
        timeout = {
            "connect": CONNECT_TIMEOUT,
            "write": WRITE_TIMEOUT,
            "read": read_timeout or self._read_timeout,
        }
        content = bytearray()
        try:
            async with self._pool.stream(
                method,
                self._base_url + path,
                headers=list(headers.items()),
                content=body,
                extensions={"timeout": timeout},
            ) as response:
                async for chunk in response.aiter_stream():
                    content += chunk
                    if len(content) > MAX_BODY:
                        raise Unreachable(f"the answer is longer than {MAX_BODY} bytes")
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        received = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
        }
        return Reply(response.status, received, bytes(content))

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
