"""One process per state directory."""

import fcntl
import os
from pathlib import Path

from orbitbot.foundation.errors import Conflict, SettingsError
from orbitbot.foundation.processes import visible_pid


class AlreadyRunning(Conflict):
    """Another process holds the state directory."""

    problem = "already-running"
    title = "Another process runs this bot"


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
    os.pwrite(descriptor, f"{visible_pid()}\n".encode(), 0)
    return descriptor
