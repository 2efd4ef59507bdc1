"""Age, size and outcome of jobs: what is told, and when somebody is alarmed."""

import os
from pathlib import Path

import pytest
from orbitbot_backup import records
from orbitbot_backup.records import Records, screen
from orbitbot_backup.settings import DumpJob, FilesJob, Restic, Settings

from tests.support.clock import Clock

HOUR = 3600.0


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


def make(tmp_path: Path, clock: Clock, generation: str = "aaaa") -> Records:
    since = tmp_path / f"since-{generation}"
    since.touch()
    os.utime(since, (clock.seconds, clock.seconds))
    settings = Settings(
        host="vps1",
        generation=generation,
        state=str(tmp_path),
        metrics=str(tmp_path / "metrics"),
        cluster=None,
        restic=Restic("r", "p", "", "", "", 1, 1, 1, 100),
        database=None,
        dump=DumpJob(30),
        files=FilesJob(30, "", []),
        drill=None,
    )
    return Records(settings, clock)


def alarms(kept: Records) -> dict[str, str]:
    return {job["job"]: job["alarm"] for job in kept.report()}


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOCK", tmp_path / "lock")


def succeed(kept: Records, job: str) -> None:
    kept.succeed(kept.begin(job), size=2**20, detail="verified", facts={})


def test_a_job_that_never_ran_is_overdue_once_it_could_have(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock)
    assert alarms(kept) == {"dump": "", "files": ""}
    clock.seconds += 31 * HOUR
    assert alarms(kept)["files"] == "overdue: no success for 31 h, allowed are 30 h"


def test_a_job_that_stops_running_is_overdue(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock)
    succeed(kept, "dump")
    clock.seconds += 29 * HOUR
    succeed(kept, "files")
    assert alarms(kept) == {"dump": "", "files": ""}
    clock.seconds += 2 * HOUR
    assert alarms(kept) == {"dump": "overdue: no success for 31 h, allowed are 30 h", "files": ""}


def test_a_failure_is_told_at_once_and_the_last_success_stays_known(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock)
    succeed(kept, "dump")
    clock.seconds += HOUR
    kept.fail(kept.begin("dump"), "disk full")
    (told, _) = kept.report()
    assert (told["alarm"], told["age_hours"], told["size"]) == ("failed: disk full", 1.0, 2**20)
    succeed(kept, "dump")
    assert alarms(kept)["dump"] == ""


def test_a_run_that_was_killed_is_told(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock)
    with records.locked():
        kept.begin("dump")
        assert alarms(kept)["dump"] == ""  # it runs
    assert alarms(kept)["dump"] == "failed: it was interrupted"


def test_records_of_another_vaults_repositories_say_nothing(tmp_path: Path, clock: Clock) -> None:
    old = make(tmp_path, clock)
    old.fail(old.begin("dump"), "disk full")
    assert alarms(make(tmp_path, clock, "bbbb"))["dump"] == ""


def test_prometheus_is_told_timestamps_outcome_and_size(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock)
    succeed(kept, "dump")
    kept.fail(kept.begin("files"), "disk full")
    lines = (tmp_path / "metrics/orbitbot-backup.prom").read_text().splitlines()
    assert 'orbitbot_backup_last_success_timestamp_seconds{job="dump"} 1800000000' in lines
    assert 'orbitbot_backup_last_success_timestamp_seconds{job="files"} 0' in lines
    assert 'orbitbot_backup_last_run_ok{job="dump"} 1' in lines
    assert 'orbitbot_backup_last_run_ok{job="files"} 0' in lines
    assert 'orbitbot_backup_size_bytes{job="dump"} 1.04858e+06' not in lines
    assert 'orbitbot_backup_size_bytes{job="dump"} 1048576' in lines


def test_the_screen_has_a_line_for_each_job(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock)
    succeed(kept, "dump")
    assert screen(kept.report()).splitlines() == [
        "dump      0.0 h ago, 1.0 MiB  verified",
        "files     never yet",
    ]
