"""Free ports, and waiting for a condition with a deadline."""

import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

_POLL = 0.02  # seconds
# Below the ports that the kernel gives to outgoing connections, and above those of well-known services.
_PORTS: Final = range(20_000, 32_000)
_LAST_PORT: Final = Path(tempfile.gettempdir()) / f"orbitbot-test-port-{os.getuid()}"
_ESTABLISHED: Final = "01"  # in /proc/net/tcp


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on, and that no other caller on this machine gets soon.

    Whoever asks listens on it only later. A port that the kernel picks could by then be another test's, or
    belong to an outgoing connection; these go round, over all processes that ask.
    """
    descriptor = os.open(_LAST_PORT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+") as last:
        fcntl.flock(last, fcntl.LOCK_EX)
        port = int(last.read() or _PORTS.start - 1)
        for _ in _PORTS:
            port = port + 1 if port + 1 in _PORTS else _PORTS.start
            if _can_listen(port):
                last.seek(0)
                last.truncate()
                last.write(str(port))
                return port
    raise OSError(f"no free port in {_PORTS}")


def _can_listen(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def connections_being_served(port: int) -> int:
    """How many connections to `port` of this machine a server has accepted and read everything from."""
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, _, _, _, _, inode, *_ = line.split()
        waiting = int(queues.split(":")[1], 16)
        if int(local.split(":")[1], 16) == port and state == _ESTABLISHED and inode != "0" and not waiting:
            count += 1
    return count


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
