"""What is kept of each job's runs, and what is said of them: on the screen, and to Prometheus.

A record is one JSON file for each job. A job that never runs at all leaves no trace, so its age counts from
the day on which the host's backups were set up: that is how a job which fails silently is noticed.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from orbitbot_backup.errors import BackupError
from orbitbot_backup.settings import Settings

HOUR = 3600.0
LOCK = Path("/run/lock/orbitbot-backup")
LOCK_TIMEOUT = 6 * HOUR  # seconds that a job waits for the one before it


@dataclass(frozen=True)
class Record:
    """The last run of a job, and the last that succeeded. Times are Unix seconds, 0 for never.

    Attributes:
        size: bytes of the newest backup.
        detail: what the job says of its last success.
        facts: what only this job has, such as the drill's figures.
    """

    job: str
    generation: str
    started_at: float = 0.0
    finished_at: float = 0.0
    succeeded_at: float = 0.0
    seconds: float = 0.0
    size: int = 0
    error: str = ""
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Records:
    """The records of one host."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._folder = Path(settings.state) / "records"

    def read(self, job: str) -> Record:
        """The job's record; an empty one where it never ran, or ran for another vault's repositories."""
        empty = Record(job, self._settings.generation)
        try:
            known = Record(**json.loads((self._folder / f"{job}.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return empty
        return known if known.generation == self._settings.generation else empty

    def begin(self, job: str) -> Record:
        """A run begins; until it ends its record says so."""
        record = replace(self.read(job), started_at=self._now(), error="it was interrupted")
        self._write(record)
        return record

    def succeed(self, record: Record, *, size: int, detail: str, facts: dict[str, Any]) -> None:
        """The run ended well."""
        now = self._now()
        self._write(
            replace(
                record,
                finished_at=now,
                succeeded_at=now,
                seconds=round(now - record.started_at, 1),
                size=size,
                error="",
                detail=detail,
                facts=facts,
            )
        )

    def fail(self, record: Record, error: str) -> None:
        """The run ended badly; the last success stays known."""
        now = self._now()
        self._write(replace(record, finished_at=now, seconds=round(now - record.started_at, 1), error=error))

    def report(self) -> list[dict[str, Any]]:
        """Each job with `age_hours` (None for never), `alarm` (why somebody should look; empty) and more."""
        return [self._told(name) for name in self._settings.jobs]

    def _told(self, name: str) -> dict[str, Any]:
        record = self.read(name)
        limit = self._settings.jobs[name].max_age_hours
        now = self._now()
        age = (now - record.succeeded_at) / HOUR if record.succeeded_at else None
        waited = age if age is not None else (now - self._settings.since) / HOUR
        alarm = ""
        if record.error and not self._is_running(record):
            alarm = f"failed: {record.error}"
        elif waited > limit:
            alarm = f"overdue: no success for {waited:.0f} h, allowed are {limit:.0f} h"
        return asdict(record) | {
            "age_hours": None if age is None else round(age, 2),
            "max_age_hours": limit,
            "alarm": alarm,
        }

    def _is_running(self, record: Record) -> bool:
        return record.finished_at < record.started_at and is_locked()

    def _write(self, record: Record) -> None:
        _replace(self._folder / f"{record.job}.json", json.dumps(asdict(record), indent=1) + "\n", 0o644)
        self.write_metrics()

    def write_metrics(self) -> None:
        """Tell Prometheus, by the node exporter's textfile collector."""
        lines = []
        for name, (text, value) in METRICS.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
            lines += [f'{name}{{job="{job["job"]}"}} {value(job):.15g}' for job in self.report()]
        _replace(Path(self._settings.metrics) / "orbitbot-backup.prom", "\n".join(lines) + "\n", 0o644)


# Timestamps, not ages: an age in a file would stand still when nothing writes the file any more.
METRICS: dict[str, tuple[str, Callable[[dict[str, Any]], float]]] = {
    "orbitbot_backup_last_success_timestamp_seconds": (
        "When the job last succeeded; 0 for never.",
        lambda job: job["succeeded_at"],
    ),
    "orbitbot_backup_last_run_ok": (
        "Whether the job's last run succeeded.",
        lambda job: float(not job["error"]),
    ),
    "orbitbot_backup_size_bytes": ("Size of the newest backup.", lambda job: job["size"]),
    "orbitbot_backup_duration_seconds": ("How long the last run took.", lambda job: job["seconds"]),
    "orbitbot_backup_max_age_seconds": (
        "Age of the last success from which on the job is overdue.",
        lambda job: job["max_age_hours"] * HOUR,
    ),
}


def screen(report: list[dict[str, Any]]) -> str:
    """The report for people: one line for each job."""
    lines = []
    for job in report:
        when = "never yet" if job["age_hours"] is None else f"{job['age_hours']:.1f} h ago"
        size = f", {job['size'] / 2**20:.1f} MiB" if job["size"] else ""
        lines.append(f"{job['job']:<9} {when}{size}  {job['alarm'] or job['detail']}".rstrip())
    return "\n".join(lines)


@contextmanager
def locked(timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """One job at a time on a host.

    Raises:
        BackupError: another one still runs after `timeout` seconds.
    """
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout
        while True:
            with suppress(BlockingIOError):
                flock(descriptor, LOCK_EX | LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise BackupError(f"another job of this host still runs after {timeout:g} s")
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def is_locked() -> bool:
    """Whether a job runs now."""
    try:
        with locked(0.0):
            return False
    except BackupError:
        return True


def _replace(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, "utf-8")
    draft.chmod(mode)
    draft.replace(path)
