"""Free ports, and waiting for a condition with a deadline."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.02  # seconds


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(condition: Callable[[], T], what: str, timeout: float = 20.0) -> T:
    """Poll until `condition()` is truthy and return its value.

    Raises:
        TimeoutError: it was not within `timeout` seconds; the message says `what`.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s (last value: {value!r})")
        time.sleep(_POLL)


def port_is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0
