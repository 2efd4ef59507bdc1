"""Files whose names come from outside, and files that must survive a power cut."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from orbitbot.bot.channels.channel import UnusableEvent


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, without following a link or waiting on a pipe.

    Raises:
        UnusableEvent: there is no such file, it is not a regular one, or it may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnusableEvent(f"{path.name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnusableEvent(f"{path.name} is not a regular file")
    return os.fdopen(descriptor, "rb")


def sync_directory(path: Path) -> None:
    """Make renames and new names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
