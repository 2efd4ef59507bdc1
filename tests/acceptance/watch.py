"""Collects the command lines and environments of all processes while something runs, to look for secrets."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

INTERVAL: Final = 0.02  # seconds between two looks; a process that lives shorter may be missed


def process_texts() -> dict[str, bytes]:
    """`/proc/PID/cmdline` and `/proc/PID/environ` of every process, by path."""
    texts = {}
    for directory in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                content = (directory / name).read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has just ended
                continue
            if content:
                texts[str(directory / name)] = content
    return texts


class ProcessWatch:
    """Looks at all processes again and again until it is closed; `seen` holds every different text."""

    def __init__(self) -> None:
        self.seen: dict[bytes, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="process watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(INTERVAL):
            for path, content in process_texts().items():
                self.seen.setdefault(content, path)
