"""Hostile code in a bot's place: stands alone, runs on any Python 3.11, and is started by the launcher.

    hostile.py look PATH…          what of the host it can read, write and see; JSON in `looked.json`
    hostile.py reach HOST:PORT…    where it gets a connection, and if it can listen; JSON in `reached.json`
    hostile.py fork | hog | spin   a fork bomb; memory without end; a busy loop on every core
    hostile.py cling               ignores SIGTERM, leaves its process group, forgets its parent
    hostile.py wait                does nothing, and ends cleanly

Results are written into the working directory, which is the bot's own.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
TIMEOUT = 3.0  # seconds for a connection
MIB = 1 << 20


def attempt(action: Callable[[], object]) -> str:
    """`done`, or the name of the error."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def read(path: str) -> str:
    """Try to read a file or list a folder."""
    return attempt(lambda: list(Path(path).iterdir()) if Path(path).is_dir() else Path(path).read_bytes())


def look(*paths: str) -> None:
    """Read what is not its own, write where it must not, and see who else is there."""
    libc = ctypes.CDLL(None, use_errno=True)
    processes = Path("/proc").glob("[0-9]*/cmdline")
    commands = [each.read_bytes().decode().split("\0")[0] for each in processes]
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    top = {each.name for each in Path("/").iterdir()} - {
        "bin",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "sbin",
        "usr",
    }
    write("looked.json", {
        "read": {path: read(path) for path in paths},
        "write": {
            path: attempt(lambda path=path: Path(path).write_text("x"))
            for path in ("/x", "/etc/x", "/usr/x", "/dev/x", "/proc/sys/kernel/hostname", "/tmp/x", "own")
        },
        "top": sorted(top),
        "commands": sorted(commands),
        "capabilities": fields["CapEff"],
        "bounding": fields["CapBnd"],
        "no_new_privileges": fields["NoNewPrivs"],
        "new_user_namespace": libc.unshare(CLONE_NEWUSER),
        "become_root": attempt(lambda: os.setuid(0)),
        "kill_init": attempt(lambda: os.kill(1, signal.SIGKILL)) and Path("/proc/1").exists(),
        "environment": sorted(os.environ),
        "terminal": attempt(lambda: os.open("/dev/tty", os.O_RDWR)),
    })  # fmt: skip
    wait()


def reach(*targets: str) -> None:
    """Connect to each `HOST:PORT` or `@abstract-socket`, and listen on a port of its own."""
    reached = {target: attempt(lambda target=target: connect(target)) for target in targets}
    write("reached.json", reached | {"listen": attempt(lambda: socket.create_server(("127.0.0.1", 0)))})
    wait()


def connect(target: str) -> None:
    """Open a connection and close it."""
    if target.startswith("@"):
        with socket.socket(socket.AF_UNIX) as abstract:
            abstract.connect("\0" + target[1:])
        return
    host, _, port = target.rpartition(":")
    socket.create_connection((host, int(port)), TIMEOUT).close()


def fork() -> None:
    """Fork until nothing goes any more, and then go on trying, in every child."""
    failed = 0
    while True:
        with contextlib.suppress(OSError):
            os.fork()
            continue
        failed += 1
        if failed % 1000 == 1:
            Path("refused").write_text(str(failed))


def hog() -> None:
    """Take memory, 8 MiB at a time, and touch it."""
    held = []
    while True:
        held.append(b"x" * (8 * MIB))
        Path("held").write_text(str(len(held) * 8))


def spin() -> None:
    """Keep every core busy."""
    Path("spinning").write_text("")
    for _ in range((os.cpu_count() or 1) - 1):
        if os.fork() == 0:
            break
    while True:
        pass


def cling() -> None:
    """Survive what supervisor and the kernel do to processes whose end is wanted."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    Path("clinging").write_text("")
    while True:
        time.sleep(1000)


def wait() -> None:
    """Do nothing until SIGTERM; leave a sign of the clean end."""

    def clean(number: int, frame: object) -> None:
        Path("ended").write_text("")
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, clean)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    Path("waiting").write_text("")
    while True:
        signal.pause()


def write(name: str, what: object) -> None:
    """A result, complete from the moment it can be seen."""
    Path(f".{name}").write_text(json.dumps(what))
    Path(f".{name}").rename(name)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
