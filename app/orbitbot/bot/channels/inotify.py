"""Tells the event loop that a file came into a directory (Linux inotify; not in the standard library)."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

# linux/inotify.h
_IN_MOVED_TO: Final = 0x80
_IN_CLOSE_WRITE: Final = 0x08
_IN_CLOEXEC: Final = 0o2000000
_IN_NONBLOCK: Final = 0o4000
_READ: Final = 65_536  # bytes; one event is at most 272


class DirectoryWatch:
    """Calls `on_change` on the running loop after files were renamed or written into `directory`."""

    def __init__(self, directory: Path, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        if (
            libc.inotify_add_watch(self._descriptor, os.fsencode(directory), _IN_MOVED_TO | _IN_CLOSE_WRITE)
            < 0
        ):
            os.close(self._descriptor)
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(directory))
        self._loop.add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        os.read(self._descriptor, _READ)  # which file it was does not matter: the directory is listed
        self._on_change()
