"""What this machine needs in order to run test hosts, and how it gets it."""

import os
import shutil
import site
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.hosts import cgroups
from tests.hosts.command import HostsError, run
from tests.hosts.limits import raise_limits
from tests.hosts.packages import PROGRAM
from tests.hosts.sources import debian_sources, machine_release, machine_sources
from tests.hosts.store import Store

# program → the Debian package that has it
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "zstd": "zstd",
    str(PROGRAM): "apt-cacher-ng",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "nsenter": "util-linux",
}
FREE_SPACE = 4  # GiB: an image, its archive, packages and some hosts' disks

_GIB = 1 << 30
_APT_TIMEOUT = 900.0  # seconds
_PATH_FILE = "orbitbot-tools-path.pth"
_PATH_LINE = (
    "import os, sys; os.environ['PATH'] = os.pathsep.join(dict.fromkeys("
    "[os.path.join(sys.prefix, 'bin'), *os.environ.get('PATH', os.defpath).split(os.pathsep)]))\n"
)


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `remedy` is empty when all is well."""

    what: str
    remedy: str = ""


def missing_packages() -> list[str]:
    """The Debian packages that must still be installed."""
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})


def examine(store: Store) -> Iterator[Finding]:
    """Look at everything that test hosts need; changes nothing that lasts."""
    yield Finding("runs as root", "" if os.geteuid() == 0 else "run it as root: it makes mounts and networks")
    for program, package in PROGRAMS.items():
        found = shutil.which(program)
        yield Finding(f"{Path(program).name} is installed", "" if found else f"apt-get install {package}")
    yield Finding(
        "Ansible's tools find each other", "" if _tools_path().is_file() else _setup("write the path file")
    )
    yield _tried("apt has a source for Debian itself", _apt)
    yield _tried("packet rules can be loaded", _nftables)
    yield _tried("overlay file systems can be mounted", lambda: _overlay(store))
    yield _tried(f"{FREE_SPACE} GiB are free", lambda: _space(store))
    kind = "systemd's scopes" if cgroups.booted_with_systemd() else "control groups below the caller's"
    yield Finding(f"hosts are held by {kind}")


def setup() -> list[str]:
    """Install what is missing; returns the packages that were installed.

    Also lets the virtual environment's commands find each other without an activated environment:
    `.venv/bin/molecule` looks for `ansible-config` on the PATH.

    Raises:
        HostsError: not root, or apt failed.
    """
    if os.geteuid() != 0:
        raise HostsError("setup installs packages: run it as root")
    packages = missing_packages()
    if packages:
        apt = ["apt-get", "-o", "DPkg::Lock::Timeout=600"]
        run([*apt, "update", "-qq"], timeout=_APT_TIMEOUT)
        run(
            [
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                *apt,
                "install",
                "-qq",
                "-y",
                "--no-install-recommends",
                *packages,
            ],
            timeout=_APT_TIMEOUT,
        )
        if "apt-cacher-ng" in packages and cgroups.booted_with_systemd():
            run(["systemctl", "disable", "--now", "apt-cacher-ng"])  # the hosts' own is started when needed
    raise_limits()
    let_tools_find_each_other()
    return packages


def let_tools_find_each_other() -> None:
    """Put the virtual environment's commands on the PATH of all that its Python runs."""
    if sys.prefix != sys.base_prefix:
        _tools_path().write_text(_PATH_LINE)


def _setup(what: str) -> str:
    return f"`python -m tests.hosts setup` will {what}"


def _tools_path() -> Path:
    return Path(site.getsitepackages()[0]) / _PATH_FILE


def _tried(what: str, attempt: Callable[[], None]) -> Finding:
    try:
        attempt()
    except (HostsError, OSError) as error:
        return Finding(what, str(error))
    return Finding(what)


def _apt() -> None:
    debian_sources(machine_sources(), machine_release(), machine_release())


def _nftables() -> None:
    run(["nft", "--check", "-f", "-"], stdin="table bridge orbitbot_probe { set ports { type ifname; }; }\n")


def _overlay(store: Store) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.root) as name:
        folders = {part: Path(name, part) for part in ("lower", "upper", "work", "root")}
        for folder in folders.values():
            folder.mkdir()
        options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**folders)
        run(["mount", "-t", "overlay", "overlay", "-o", options, folders["root"]])
        run(["umount", folders["root"]])


def _space(store: Store) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store.root).free / _GIB
    if free < FREE_SPACE:
        raise HostsError(f"only {free:.1f} GiB are free below {store.root}")
