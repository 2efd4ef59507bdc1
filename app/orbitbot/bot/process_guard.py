"""One process per state directory, and none without its parent."""

import ctypes
import fcntl
import os
import signal
from pathlib import Path
from typing import Final

from orbitbot.foundation.errors import Conflict, OrbitBotError, SettingsError

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class AlreadyRunning(Conflict):
    """Another process holds the state directory."""

    problem = "already-running"
    title = "Another process runs this bot"


class ParentGone(OrbitBotError):
    """The process that started this one has ended already."""

    problem = "parent-gone"
    title = "The parent process has ended"


def hold_lock(path: Path) -> int:
    """Lock `path` for the life of this process; returns the open descriptor.

    The kernel drops the lock with the process, however it ends, so that no stale one is ever left.
    The descriptor is not inherited: a child process that outlives the bot cannot keep the lock.

    Raises:
        AlreadyRunning: another process holds it.
        SettingsError: there is no such directory, or it is not this user's.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise AlreadyRunning(f"{path} is held by another process (pid {holder})") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when the parent ends.

    Debian's supervisor unit kills only supervisord itself (`KillMode=process`). A supervisord that was
    killed would leave its bots behind, and the restarted one would start a second bot beside each: two
    processes on one WhatsApp session.

    Args:
        parent: `os.getppid()` as it was when the process began; the parent may have ended since.

    Raises:
        ParentGone: it has.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise ParentGone(f"process {parent} ended while this one was starting")
