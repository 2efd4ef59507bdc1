"""The package cache: one apt-cacher-ng for all fleets, the hosts' only way to Debian packages.

It listens on an address of its own (a bridge without ports), so that it serves every fleet's bridge and the
build of images, and nothing from outside this machine gets at it. It stops with its last user.
"""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hosts import network
from tests.hosts.command import HostsError
from tests.hosts.processes import Process, start_detached, wait_until, with_argument
from tests.hosts.store import Store

INTERFACE = "obhcache"
PORT = 13142  # not 3142: there a machine's own apt-cacher-ng may listen on every address
PROGRAM = Path("/usr/sbin/apt-cacher-ng")

_START_TIMEOUT = 10.0  # seconds
_EXEC = 0.5  # seconds: a program that is just being put in place has no command line to know it by
_STOP_TIMEOUT = 20.0  # seconds
_LOCK = "packages"
_USERS = "packages-users"


class PackageCache:
    """The one package cache of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.packages
        self._settings = self._folder / "settings"  # on the program's command line, which tells it apart
        self._address_file = self._folder / "address"

    @contextmanager
    def used(self, address: str) -> Iterator[str]:
        """Keep the cache running for the length of the block, and after it while a fleet exists.

        The value is the cache's URL.

        Args:
            address: where it listens if it does not run yet.
        """
        for name in ("cache", "log", "settings"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        try:
            with self._store.lock(_USERS, shared=True):
                yield self._start(address)
        finally:
            self.stop_if_unused()

    def stop_if_unused(self) -> None:
        """Stop the cache if no fleet exists and nobody is within `used`."""
        with self._store.try_lock(_USERS) as alone:
            if alone and not self._store.plans():
                self._stop()

    def _start(self, address: str) -> str:
        with self._store.lock(_LOCK):
            if self._processes():
                address = self._address_file.read_text()
            else:
                self._stop()
                self._address_file.write_text(address)
                network.create_cache_interface(INTERFACE, address)
                self._run(address)
        return f"http://{address}:{PORT}"

    def _run(self, address: str) -> None:
        log = self._folder / "log"
        (self._settings / "acng.conf").write_text(render_settings(self._folder, address))
        with (log / "output").open("ab") as output:
            start_detached([PROGRAM, "-c", self._settings, "ForeGround=1"], output)

        def answers() -> bool:
            if not self._processes():
                time.sleep(_EXEC)
                if not self._processes():
                    raise HostsError(f"{PROGRAM} ended; see {log}")
            return _accepts(address)

        wait_until(answers, f"the package cache on {address}:{PORT}", _START_TIMEOUT)

    def _stop(self) -> None:
        for process in self._processes():
            process.signal(signal.SIGTERM)
        wait_until(lambda: not self._processes(), "the end of the package cache", _STOP_TIMEOUT)
        network.remove_cache_interface(INTERFACE)

    def _processes(self) -> list[Process]:
        return with_argument(str(self._settings))


def render_settings(folder: Path, address: str) -> str:
    """apt-cacher-ng's settings: no Remap lines, so that every archive is asked at its own address."""
    return f"""\
CacheDir: {folder / "cache"}
LogDir: {folder / "log"}
SupportDir: /usr/lib/apt-cacher-ng
BindAddress: {address}
Port: {PORT}
ReportPage:
ExThreshold: 30
"""


def _accepts(address: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((address, PORT)) == 0
