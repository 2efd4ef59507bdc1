"""The folder that holds images, package cache and fleets, and the locks on it.

images/NAME-KEY.tar.zst  images/NAME-KEY/   built once, read-only below every host
packages/                                   the package cache
fleets/NAME/                                a fleet: plan.json, keys, SSH files, hosts/HOST/
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec

from tests.hosts.command import HostsError
from tests.hosts.plan import FleetPlan, check_fleet_name

_PLAN = "plan.json"


class Store:
    """Where everything of the test hosts lives.

    Args:
        root: default is `orbitbot/test-hosts` in the user's cache folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.root = root or cache / "orbitbot" / "test-hosts"

    @property
    def images(self) -> Path:
        """Folder of the images."""
        return self.root / "images"

    @property
    def packages(self) -> Path:
        """Folder of the package cache."""
        return self.root / "packages"

    def fleet(self, name: str) -> Path:
        """Folder of one fleet, whether it exists or not.

        Raises:
            HostsError: no fleet can have this name.
        """
        return self.root / "fleets" / check_fleet_name(name)

    def host(self, fleet: str, host: str) -> Path:
        """Folder of one host, whether it exists or not."""
        return self.fleet(fleet) / "hosts" / host

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[None]:
        """Wait for the lock called `name` and hold it; the kernel frees it when this process dies."""
        with self._lock_file(name) as file:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield

    @contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Hold the lock called `name` if nobody else does; the value says whether it is held."""
        with self._lock_file(name) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _lock_file(self, name: str) -> TextIO:
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / name).open("w")

    def save(self, plan: FleetPlan) -> None:
        """Write a fleet's plan, whole or not at all."""
        folder = self.fleet(plan.name)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = folder / f"{_PLAN}.new"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(plan, enc_hook=str), indent=2))
        draft.replace(folder / _PLAN)

    def forget(self, name: str) -> None:
        """Remove a fleet's folder, the plan last, so that a removal that breaks off can be taken up again."""
        folder = self.fleet(name)
        if not folder.is_dir():
            return
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _PLAN:
                entry.unlink()
        (folder / _PLAN).unlink(missing_ok=True)
        folder.rmdir()

    def load(self, name: str) -> FleetPlan:
        """Read a fleet's plan.

        Raises:
            HostsError: there is no such fleet; the message lists those that are.
        """
        try:
            return _read(self.fleet(name) / _PLAN)
        except FileNotFoundError as error:
            known = ", ".join(plan.name for plan in self.plans()) or "none"
            raise HostsError(f"there is no fleet {name!r}; fleets here: {known}") from error

    def plans(self) -> list[FleetPlan]:
        """The plan of every fleet, by name."""
        files = sorted((self.root / "fleets").glob(f"*/{_PLAN}"))
        return [_read(file) for file in files]


def _read(file: Path) -> FleetPlan:
    try:
        return msgspec.json.decode(file.read_bytes(), type=FleetPlan, dec_hook=_path)
    except msgspec.DecodeError as error:
        raise HostsError(f"{file} cannot be read: {error}; was it written by another version?") from error


def _path(kind: type, value: object) -> object:
    return kind(value)
