"""Looks at hosts from this machine, which is outside of their mesh, and by their users."""

import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from tests.hosts.command import HostsError
from tests.hosts.fleet import Fleet

_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)"
_CONNECT_TIMEOUT = 1.0  # seconds; on one machine an answer takes a millisecond


def open_ports(address: str, ports: Iterable[int]) -> set[int]:
    """Which of `ports` take a TCP connection from this machine."""
    with ThreadPoolExecutor(max_workers=32) as pool:
        answers = pool.map(lambda port: (port, _open(address, port)), ports)
        return {port for port, is_open in answers if is_open}


def connects(fleet: Fleet, host: str, target: str, port: int, user: str = "root") -> bool:
    """Whether `user` on `host` gets a TCP connection to `target`."""
    try:
        fleet.ssh(host, f'runuser -u {user} -- python3 -c "{_CONNECT}" {target} {port}')
    except HostsError as error:
        if "Error: " not in str(error):  # one of Python's socket errors, nothing else
            raise
        return False
    return True


def _open(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=_CONNECT_TIMEOUT):
            return True
    except OSError:
        return False
