"""Control groups: one of its own for every host, in every hierarchy, below the launcher's own.

Without them the hosts would see each other's units. Where systemd is this machine's PID 1, it does this by
itself (each host becomes a scope with delegated controllers) and none are made here.
"""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.hosts.processes import wait_until

FOLDER = "orbitbot-test-hosts"
# The file of a group's shares of the processor (versions 1 and 2), what one process outside of any group has,
# and the most that the kernel takes.
SHARES = {"cpu.shares": (1024, 262_144), "cpu.weight": (100, 10_000)}

_EMPTY_TIMEOUT = 10.0  # seconds; the kernel frees a group some moments after its last process


def booted_with_systemd() -> bool:
    """Whether systemd is this machine's PID 1, by the test of sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def fleet_groups() -> tuple[Path, ...]:
    """The folders below which hosts get their groups, one for each hierarchy that the caller is in."""
    if booted_with_systemd():
        return ()
    own = own_groups(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mounts").read_text())
    return tuple(group / FOLDER for group in own)


def own_groups(memberships: str, mounts: str) -> list[Path]:
    """The caller's own control group in each mounted hierarchy.

    Args:
        memberships: text of /proc/self/cgroup.
        mounts: text of /proc/self/mounts.
    """
    places: dict[str, str] = {}
    for line in mounts.splitlines():
        _, mountpoint, kind, options, *_ = line.split()
        if kind == "cgroup2":
            places[""] = mountpoint
        elif kind == "cgroup":
            places |= dict.fromkeys(options.split(","), mountpoint)
    groups = []
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        place = places.get(controllers.split(",")[0])
        if place is not None:
            groups.append(Path(place + path.rstrip("/")))
    return groups


def create(groups: Iterable[Path], machine: str) -> list[Path]:
    """Make the group of one host in every hierarchy and return them."""
    made = []
    for parent in groups:
        group = parent / machine
        group.mkdir(parents=True, exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists() and (parent.parent / name).exists():  # version 1: empty means unusable
                value = (parent.parent / name).read_text()
                (parent / name).write_text(value)
                (group / name).write_text(value)
        made.append(group)
    share_processor(groups)
    return made


@contextmanager
def _suppress_gone() -> Iterator[None]:
    """Whatever is done to a group that somebody else removes meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):  # ENODEV: open before, gone when written to
            raise


def share_processor(groups: Iterable[Path]) -> None:
    """Give the hosts together as many shares of the processor as there are hosts.

    The folder above them weighs as much as one process otherwise, however many hosts are in it.
    """
    for parent in groups:
        for name, (share, most) in SHARES.items():
            with _suppress_gone():  # another controller's; or the last host goes just now
                hosts = sum(child.is_dir() for child in parent.iterdir())
                if hosts and (parent / name).exists():
                    (parent / name).write_text(str(min(share * hosts, most)))


def members(groups: Iterable[Path], machine: str) -> set[int]:
    """Every pid in the host's groups and below them."""
    found: set[int] = set()
    for parent in groups:
        for file in (parent / machine).rglob("cgroup.procs"):
            try:
                found |= {int(pid) for pid in file.read_text().split()}
            except (FileNotFoundError, OSError):  # the group went away meanwhile
                continue
    return found


def remove(groups: Iterable[Path], machine: str) -> None:
    """Remove the host's groups, and the folders above them once they are empty."""
    for parent in groups:
        group = parent / machine
        wait_until(partial(_removed, group), f"control group {group} to become empty", _EMPTY_TIMEOUT)
        if parent.is_dir() and not any(child.is_dir() for child in parent.iterdir()):
            _rmdir(parent)
    share_processor(groups)


def _removed(group: Path) -> bool:
    for folder in [*sorted(group.rglob("*/"), reverse=True), group]:
        if folder.is_dir():
            _rmdir(folder)
    return not group.exists()


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # busy: the caller asks again; or just gone
        return
