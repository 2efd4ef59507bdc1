"""Metrics of a service in Prometheus' text format, added up over its worker processes.

A scrape reaches one worker. So each writes what it has counted into a directory that the workers of one
service share, at most once a second, and whoever is scraped adds the files up. What a worker that has ended
counted stays; its gauges go.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec
from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

WRITE_SECONDS: Final = 1.0  # between two writes of a worker's file
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]
Described = Mapping[str, tuple[Kind, str]]
Labels = tuple[tuple[str, str], ...]


class _Sample(msgspec.Struct, array_like=True):
    name: str
    labels: Labels
    value: float


class _File(msgspec.Struct):
    counters: list[_Sample]
    gauges: list[_Sample]


def shared_directory(service: str) -> Path:
    """A directory of this service's workers alone: they have one parent, which has started once."""
    parent = os.getppid()
    started = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    directory = Path(tempfile.gettempdir()) / f"orbitbot-{service}-{os.getuid()}-{parent}-{started}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to somebody else")
    return directory


class Metrics:
    """What one worker counts.

    Args:
        described: name → kind and help. A name that is not there cannot be counted.
        directory: shared by the workers; None: this process is the only one.
    """

    def __init__(self, described: Described, directory: Path | None = None) -> None:
        self._described = described
        self._directory = directory
        self._counters: dict[tuple[str, Labels], float] = {}
        self._gauges: dict[tuple[str, Labels], float] = {}
        self._written = 0.0

    def count(self, name: str, value: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        self._add(name, tuple(sorted(labels.items())), value)
        self._write_now_and_then()

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add to a histogram of durations."""
        ordered = tuple(sorted(labels.items()))
        self._add(f"{name}_sum", ordered, seconds, of=name)
        self._add(f"{name}_count", ordered, 1.0, of=name)
        for limit in BUCKETS:
            if seconds <= limit:
                self._add(f"{name}_bucket", (*ordered, ("le", f"{limit:g}")), 1.0, of=name)
        self._add(f"{name}_bucket", (*ordered, ("le", "+Inf")), 1.0, of=name)
        self._write_now_and_then()

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        if name not in self._described:
            raise KeyError(name)
        self._gauges[name, tuple(sorted(labels.items()))] = value

    def clear(self, name: str) -> None:
        """Forget every value of a gauge."""
        for key in [key for key in self._gauges if key[0] == name]:
            del self._gauges[key]

    def _add(self, name: str, labels: Labels, value: float, *, of: str = "") -> None:
        if (of or name) not in self._described:
            raise KeyError(name)
        key = (name, labels)
        self._counters[key] = self._counters.get(key, 0.0) + value

    def _write_now_and_then(self) -> None:
        if self._directory is not None and time.monotonic() - self._written >= WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Write this worker's file."""
        self._written = time.monotonic()
        if self._directory is None:
            return
        content = msgspec.json.encode(_File(_samples(self._counters), _samples(self._gauges)))
        draft = self._directory / f".{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):  # the service is stopping and has tidied up
            draft.write_bytes(content)
            draft.replace(self._directory / f"{os.getpid()}.json")

    def text(self) -> str:
        """Everything that all workers have counted."""
        counters, gauges = dict(self._counters), dict(self._gauges)
        for found in self._others():
            for sample in found.counters:
                key = (sample.name, sample.labels)
                counters[key] = counters.get(key, 0.0) + sample.value
            for sample in found.gauges:
                key = (sample.name, sample.labels)
                gauges[key] = max(gauges.get(key, sample.value), sample.value)
        lines: list[str] = []
        for name, (kind, text) in self._described.items():
            values = counters if kind != "gauge" else gauges
            names = {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
            mine = sorted((key, value) for key, value in values.items() if key[0] in names)
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += [f"{key[0]}{_labels(key[1])} {value:.12g}" for key, value in mine]
        return "\n".join(lines) + "\n"

    def _others(self) -> list[_File]:
        if self._directory is None:
            return []
        found = []
        for path in self._directory.glob("*.json"):
            pid = int(path.stem)
            if pid == os.getpid():
                continue
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                file = msgspec.json.decode(path.read_bytes(), type=_File)
                found.append(file if Path(f"/proc/{pid}").exists() else _File(file.counters, []))
        return found

    def route(self) -> HTTPRouteHandler:
        """`GET /metrics`. It asks for no token: the service listens on loopback or the mesh alone."""

        @get("/metrics", include_in_schema=False, sync_to_thread=False)
        def metrics() -> Response[str]:
            return Response(self.text(), media_type=MediaType.TEXT, headers={"Content-Type": MEDIA_TYPE})

        return metrics


def _samples(values: Mapping[tuple[str, Labels], float]) -> list[_Sample]:
    return [_Sample(name, labels, value) for (name, labels), value in values.items()]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = (
        (name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
