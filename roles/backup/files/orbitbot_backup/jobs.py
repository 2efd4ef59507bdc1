"""The jobs. Each backs something up and verifies it, and says what it did."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orbitbot_backup import dumping, repository, snapshots
from orbitbot_backup.errors import BackupError
from orbitbot_backup.records import Records, locked
from orbitbot_backup.restic import Repository
from orbitbot_backup.settings import Settings

DAY: Final = 86_400.0
PROGRAM: Final = Path("/usr/local/sbin/orbitbot-backup")


@dataclass(frozen=True)
class Done:
    """What a job did: bytes of the backup, a sentence, and figures of its own."""

    size: int
    detail: str
    facts: dict[str, Any] = field(default_factory=dict)


def run(settings: Settings, job: str, *, full: bool = False) -> str:
    """Run one job and record it; its sentence.

    Raises:
        BackupError: it failed, which is recorded; or this host has no such job.
    """
    from orbitbot_backup import drill  # noqa: PLC0415  (which needs this module)

    if job not in settings.jobs:
        raise BackupError(f"job: {job!r} is none of this host; allowed: {', '.join(settings.jobs)}")
    records = Records(settings)
    with locked():
        record = records.begin(job)
        try:
            match job:
                case "database":
                    done = back_up_database(settings, full=full)
                case "dump":
                    done = back_up_dump(settings)
                case "files":
                    done = back_up_files(settings)
                case _:
                    done = drill.run(settings)
        except BackupError as error:
            records.fail(record, str(error))
            raise
        except Exception as error:
            records.fail(record, f"{type(error).__name__}: {error}")
            raise
        records.succeed(record, size=done.size, detail=done.detail, facts=done.facts)
    return done.detail


def back_up_database(settings: Settings, *, full: bool = False) -> Done:
    """pgBackRest: a full backup when the last one is too old, else an incremental one; then verify all."""
    if settings.database is None or settings.cluster is None:
        raise AssertionError
    stanza = settings.cluster.stanza
    known = [each for each in repository.backups(stanza) if each.kind == "full"]
    due = not known or time.time() - known[-1].stopped_at > settings.database.full_days * DAY - DAY / 2
    kind = "full" if full or due else "incr"
    repository.pgbackrest(stanza, "backup", f"--type={kind}")
    newest = repository.backups(stanza)[-1]
    said = repository.verify(stanza)
    return Done(
        newest.size,
        f"{newest.kind} backup {newest.label}, {said}",
        {"label": newest.label, "kind": newest.kind, "repository_size": newest.repository_size},
    )


def back_up_dump(settings: Settings) -> Done:
    """The logical dump, into this host's restic repository."""
    if settings.cluster is None:
        raise AssertionError
    folder = Path(settings.state) / "dump"
    restic = Repository(settings.restic, Path(settings.state))
    restic.ensure()
    manifest = dumping.dump(settings.cluster, folder)
    snapshot, size = restic.backup([folder], "dump")
    restic.forget("dump")
    restic.check()
    return Done(
        size,
        f"snapshot {snapshot[:8]}: {manifest.rows} rows in {len(manifest.tables)} tables, "
        "repository verified",
        {"snapshot": snapshot, "at": manifest.at},
    )


def back_up_files(settings: Settings) -> Done:
    """Bots' state and the host's configuration, into this host's restic repository."""
    if settings.files is None:
        raise AssertionError
    state = Path(settings.state)
    restic = Repository(settings.restic, state)
    restic.ensure()
    paths = [Path(each) for each in settings.files.paths if Path(each).exists()]
    bots: list[str] = []
    if settings.files.bots:
        bots = snapshots.snapshot_all(Path(settings.files.bots), state / "bots", PROGRAM)
        paths.append(state / "bots")
    if not paths:
        raise BackupError("there is nothing to keep: none of the paths exists")
    snapshot, size = restic.backup(paths, "files")
    restic.forget("files")
    restic.check()
    return Done(
        size,
        f"snapshot {snapshot[:8]}: {len(bots)} bots and {len(paths)} paths, repository verified",
        {"snapshot": snapshot, "bots": bots},
    )


def verify(settings: Settings) -> list[str]:
    """Verify what this host's jobs have made, and record nothing; one sentence for each.

    Raises:
        BackupError: something is damaged or missing; names it.
    """
    said = []
    if settings.database is not None and settings.cluster is not None:
        said.append(f"database: {repository.verify(settings.cluster.stanza)}")
    if settings.dump is not None or settings.files is not None:
        Repository(settings.restic, Path(settings.state)).check()
        said.append("restic: structure and data read, no error")
    return said
