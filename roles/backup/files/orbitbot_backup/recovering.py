"""A cluster as it was at a moment, from pgBackRest's repository, in a place of its own."""

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orbitbot_backup import programs, repository
from orbitbot_backup.errors import BackupError
from orbitbot_backup.postgresql import SUPERUSER, Server, wait_until
from orbitbot_backup.settings import Cluster

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?"
)
_REPLAY_TIMEOUT: Final = 12 * 3600.0  # seconds


@dataclass(frozen=True)
class Moment:
    """Up to which moment: `latest`, a time, or a named restore point.

    Attributes:
        kind: `latest`, `time` or `name`.
        value: RFC 3339 in UTC, or the name; empty for `latest`.
    """

    kind: str
    value: str = ""

    @property
    def unix(self) -> float:
        """The time as Unix seconds."""
        return datetime.fromisoformat(self.value).timestamp()


def read_moment(text: str) -> Moment:
    """What was asked for: `latest`, or a time such as `2026-11-22 10:00`, in UTC unless it says otherwise.

    Raises:
        BackupError: it is neither.
    """
    if text == "latest":
        return Moment("latest")
    match = _TIME.fullmatch(text.strip())
    at = None if match is None else _time(*match.groups())
    if at is None:
        raise BackupError(
            f"to: {text!r} is not a moment; allowed: latest, dump, or a time such as "
            "'2026-11-22 10:00' (UTC) or '2026-11-22 10:00:30-03'"
        )
    return Moment("time", at.astimezone(UTC).isoformat(sep=" "))


def _time(year: str, month: str, day: str, hour: str, minute: str, *rest: str | None) -> datetime | None:
    """The time of these digits; None where there is none such, as on a 30th of February."""
    second, fraction, zone = rest
    offset = "+00:00" if zone in (None, "Z") else str(zone)
    if len(offset) == len("+00"):
        offset += ":00"
    try:
        return datetime.fromisoformat(
            f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}.{(fraction or '0').ljust(6, '0')}{offset}"
        )
    except ValueError:
        return None


def recover(cluster: Cluster, moment: Moment, data: Path, *, config: str = "", label: str = "") -> None:
    """Write the cluster's files below `data`, which is made anew, ready to be started.

    A started server stops at the moment and waits there, so that it can be looked at; `latest` goes on
    reading the archive until it is promoted.

    Args:
        config: another pgBackRest configuration than the host's own.
        label: the backup to begin with; pgBackRest chooses one otherwise.

    Raises:
        BackupError: the repository cannot give that moment; says what it can give.
    """
    shutil.rmtree(data, ignore_errors=True)  # our own copy, from a run that was interrupted
    data.mkdir(mode=0o700, parents=True)
    shutil.chown(data, SUPERUSER, SUPERUSER)
    options = [f"--config={config}"] if config else []
    fetch = " ".join(["pgbackrest", *options, f"--stanza={cluster.stanza}", "archive-get", "%f", '"%p"'])
    target = (
        ["--type=standby"]
        if moment.kind == "latest"
        else [f"--type={moment.kind}", f"--target={moment.value}", "--target-action=pause"]
    )
    try:
        repository.pgbackrest(
            cluster.stanza, *options, f"--pg1-path={data}", *target, *([f"--set={label}"] if label else []),
            f"--recovery-option=restore_command={fetch}", "restore",
        )  # fmt: skip
    except BackupError as error:
        raise BackupError(f"{error}; {offered(cluster, options)}") from error


def offered(cluster: Cluster, options: list[str]) -> str:
    """Which moments the repository can give, in words."""
    known = repository.backups(cluster.stanza, *options)
    if not known:
        return "the repository has no backup"
    oldest = datetime.fromtimestamp(known[0].stopped_at, UTC).isoformat(sep=" ")
    return f"the repository reaches back to {oldest}"


def wait_for_moment(server: Server, moment: Moment, last_segment: str) -> str:
    """Wait until a recovering server is at the moment; the time of the last transaction that it has.

    Args:
        last_segment: of the archive, for `latest`.
    """
    if moment.kind == "latest":
        # Reading a switched segment leaves the position at the beginning of the next one.
        sql = "SELECT pg_walfile_name(pg_last_wal_replay_lsn())"

        def reached() -> bool:
            lsn = server.query("SELECT pg_last_wal_replay_lsn()")
            high, low = (int(each, 16) for each in lsn.split("/"))
            return (high << 32 | low) >= (repository.number(last_segment) + 1) << 24
    else:
        sql = "SELECT pg_get_wal_replay_pause_state()"

        def reached() -> bool:
            return server.query(sql) == "paused"

    wait_until(reached, "the end of recovery", _REPLAY_TIMEOUT)
    return server.query("SELECT extract(epoch FROM pg_last_xact_replay_timestamp())")


def promote(server: Server) -> None:
    """Let a recovering server begin a timeline of its own, and take writes."""
    server.query("SELECT pg_promote(true, 3600)", timeout=3700)
    wait_until(lambda: server.query("SELECT pg_is_in_recovery()") == "f", "the end of recovery", 3600)
    for name in ("restore_command", "recovery_target_time", "recovery_target_name", "recovery_target_action"):
        server.query(f"ALTER SYSTEM RESET {name}")


def read_all(server: Server, database: str) -> None:
    """Read every row of a database once, which finds a page that cannot be read.

    Raises:
        BackupError: the server's words.
    """
    programs.run(
        [
            "pg_dump",
            *server.arguments(database),
            "--format=custom",
            "--compress=0",
            "--lock-wait-timeout=60000",
            "--no-sync",
            "--file=/dev/null",
        ],
        user=SUPERUSER,
    )
