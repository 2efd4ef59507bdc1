"""The package cache: one apt-cacher-ng for all fleets, the hosts' only way to Debian packages.

It listens on an address of its own (a bridge without ports), so that it serves every fleet's bridge and the
build of images, and nothing from outside this machine gets at it. It stops with its last user.
"""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.hosts import network
from tests.hosts.command import HostsError
from tests.hosts.processes import Process, wait_until
from tests.hosts.store import Store

INTERFACE = "obhcache"
PORT = 13142  # not 3142: there a machine's own apt-cacher-ng may listen on every address
PROGRAM = Path("/usr/sbin/apt-cacher-ng")

_START_TIMEOUT = 10.0  # seconds
_STOP_TIMEOUT = 20.0  # seconds
_LOCK = "packages"
_USERS = "packages-users"


class _State(msgspec.Struct, frozen=True):
    address: str
    process: Process


class PackageCache:
    """The one package cache of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.packages
        self._state_file = self._folder / "process.json"

    @contextmanager
    def used(self, address: str) -> Iterator[str]:
        """Keep the cache running for the length of the block, and after it while a fleet exists.

        The value is the cache's URL.

        Args:
            address: where it listens if it does not run yet.
        """
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
            state = self._state()
            if state is None or not state.process.alive:
                self._stop()
                network.create_cache_interface(INTERFACE, address)
                state = self._run(address)
        return f"http://{state.address}:{PORT}"

    def _run(self, address: str) -> _State:
        settings = self._folder / "settings"
        settings.mkdir(parents=True, exist_ok=True)
        (self._folder / "cache").mkdir(exist_ok=True)
        (self._folder / "log").mkdir(exist_ok=True)
        (settings / "acng.conf").write_text(render_settings(self._folder, address))
        with (self._folder / "log" / "output").open("ab") as output:
            child = subprocess.Popen(
                [PROGRAM, "-c", settings, "ForeGround=1"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        state = _State(address, Process.of(child.pid))
        self._state_file.write_bytes(msgspec.json.encode(state))

        def answers() -> bool:
            if child.poll() is not None:
                raise HostsError(
                    f"{PROGRAM} ended with status {child.returncode}; see {self._folder / 'log'}"
                )
            return _accepts(address)

        wait_until(answers, f"the package cache on {address}:{PORT}", _START_TIMEOUT)
        return state

    def _stop(self) -> None:
        state = self._state()
        if state is not None:
            state.process.signal(signal.SIGTERM)
            wait_until(lambda: not state.process.alive, "the end of the package cache", _STOP_TIMEOUT)
            self._state_file.unlink()
        network.remove_cache_interface(INTERFACE)

    def _state(self) -> _State | None:
        try:
            return msgspec.json.decode(self._state_file.read_bytes(), type=_State)
        except FileNotFoundError:
            return None


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
