"""Restores the database of this host: into a new place, verified, then swapped. The old one is kept, renamed.

What the bots finished after the restored moment is in their journals. A row of table `restores` tells them to
report it again (`orbitbot/bot/resync.py`).
"""

import errno
import json
import re
import shutil
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from orbitbot_backup import client_rows, dumping, programs, recovering, repository
from orbitbot_backup.errors import BackupError
from orbitbot_backup.postgresql import (
    SUPERUSER,
    EndedEarly,
    Server,
    fingerprints,
    flush_archive,
    private,
    running,
    tables,
    wait_until,
)
from orbitbot_backup.recovering import Moment
from orbitbot_backup.restic import Repository
from orbitbot_backup.settings import Cluster, Settings

PRIVATE_PORT: Final = 54_331
MARGIN: Final = (
    120.0  # seconds: clocks of hosts differ, and what was under way is reported twice rather than never
)
_SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
_CURRENT: Final = re.compile(r"^Latest checkpoint's REDO WAL file:\s+([0-9A-F]{24})$", re.MULTILINE)
_SERVICE_TIMEOUT: Final = 600.0  # seconds


def restore(settings: Settings, to: str, client: str) -> dict[str, Any]:
    """Restore everything, or one client's rows.

    Args:
        to: `latest`, `dump`, or a time.
        client: a client's id; empty for all.

    Returns:
        `kept` (where the old data are), `tables` and `rows`, `since` (Unix time of what was restored) and
        `seconds`.

    Raises:
        BackupError: nothing was swapped; what runs is what ran before.
    """
    cluster = settings.cluster
    if cluster is None:
        raise BackupError("this host has no database")
    began = time.monotonic()
    stamp = datetime.now(UTC).strftime("%Y%m%dt%H%M%S")
    if to == "dump":
        told = _from_dump(settings, cluster, stamp, client)
    else:
        told = _from_cluster(cluster, recovering.read_moment(to), stamp, client)
    return told | {"seconds": round(time.monotonic() - began, 1)}


def _from_cluster(cluster: Cluster, moment: Moment, stamp: str, client: str) -> dict[str, Any]:
    finish_swap(cluster)
    live = running(cluster)
    if live.answers():
        flush_archive(live)
    last = repository.last_archived(cluster.stanza)
    if not last:
        raise BackupError("the repository has no WAL")
    place = cluster.data.with_name("main.restored")
    try:
        since, told = _prepare(cluster, moment, last, place, stamp=stamp, client=client)
    except EndedEarly:  # nothing was committed after that moment: it is the end of the archive
        moment = Moment("latest")
        since, told = _prepare(cluster, moment, last, place, stamp=stamp, client=client)
    if client:
        shutil.rmtree(place)
        return told
    _hand_to_archiver(cluster, place)
    kept = _swap(cluster, place, stamp)
    return told | {"kept": str(kept), "since": since}


def _prepare(
    cluster: Cluster, moment: Moment, last: str, place: Path, *, stamp: str, client: str
) -> tuple[float, dict[str, Any]]:
    """Recover into `place`, and read everything there; for one client, take over its rows."""
    recovering.recover(cluster, moment, place)
    with private(cluster, place, PRIVATE_PORT, recovering=True) as server:
        at = recovering.wait_for_moment(server, moment, last)
        since = min(moment.unix if moment.kind == "time" else time.time(), float(at or time.time()))
        # Before it is looked at: a transaction that was under way holds its locks until then.
        recovering.promote(server)
        if client:
            live = running(cluster)
            told = client_rows.replace(
                server, cluster.database, live, cluster.database, client=client, stamp=stamp
            )
            mark(live, cluster.database, since, client)
            return since, told | {"since": since}
        recovering.read_all(server, cluster.database)
        names = tables(server, cluster.database)
        rows = sum(int(count) for count, _ in fingerprints(server, cluster.database).values())
    return since, {"tables": len(names), "rows": rows}


def _from_dump(settings: Settings, cluster: Cluster, stamp: str, client: str) -> dict[str, Any]:
    server = running(cluster)
    folder = fetch_dump(settings)
    fresh = f"{cluster.database}_restored"
    manifest = dumping.load(server, folder, fresh, cluster.database)
    told: dict[str, Any] = {"since": manifest.at, "tables": len(manifest.tables), "rows": manifest.rows}
    if client:
        told |= client_rows.replace(server, fresh, server, cluster.database, client=client, stamp=stamp)
        server.query(f'DROP DATABASE "{fresh}"')
        mark(server, cluster.database, manifest.at, client)
        return told
    kept = f"{cluster.database}_before_{stamp}"
    there = cluster.database in server.databases()
    steps = [f'ALTER DATABASE "{cluster.database}" RENAME TO "{kept}"'] if there else []
    steps.append(f'ALTER DATABASE "{fresh}" RENAME TO "{cluster.database}"')
    # Both names change in one transaction; whoever is still connected to the old one is cut off first.
    server.query(
        "BEGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{cluster.database}' \\g /dev/null\n{'; '.join(steps)}; COMMIT;"
    )
    return told | {"kept": f"database {kept}" if there else "nothing, there was no database"}


def fetch_dump(settings: Settings) -> Path:
    """The newest dump of this host's restic repository, on disk."""
    state = Path(settings.state)
    restic = Repository(settings.restic, state)
    snapshots = restic.snapshots("dump")
    if not snapshots:
        raise BackupError("the repository has no dump")
    return unpack_dump(restic, snapshots[-1], state / "restored-dump")


def unpack_dump(restic: Repository, snapshot: dict[str, Any], target: Path) -> Path:
    """A snapshot's dump below `target`, which is made anew; the folder that it is in."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o711, parents=True)
    restic.restore(snapshot["id"], target)
    folder = target / str(snapshot["paths"][0]).lstrip("/")
    for each in (target, *reversed(folder.relative_to(target).parents)):
        (target / each).chmod(0o711)
    return folder


def mark(server: Server, database: str, since: float, client: str = "") -> None:
    """Tell the bots to report again what they finished since a moment (Unix time)."""
    server.query(
        "INSERT INTO restores (id, since, client_id) "
        f"VALUES ('{uuid.uuid4()}', to_timestamp({since - MARGIN}), {_literal(client)})",
        database,
    )


def _literal(client: str) -> str:
    return f"'{client}'" if client else "NULL"


def _hand_to_archiver(cluster: Cluster, place: Path) -> None:
    """Have the server archive what its new timeline began with, for it did not archive until now."""
    wal = place / "pg_wal"
    told = programs.run([cluster.binaries / "pg_controldata", str(place)], user=SUPERUSER)
    current = _CURRENT.search(told)
    if current is None:
        raise BackupError(f"pg_controldata does not name the WAL file of {place}")
    line = current[1][:8]
    segments = [path.name for path in wal.glob(f"{line}*") if _SEGMENT.fullmatch(path.name)]
    # The current one is still written to, and those after it are not yet.
    for name in [f"{line}.history", *(each for each in segments if each < current[1])]:
        done, ready = (wal / "archive_status" / f"{name}.{state}" for state in ("done", "ready"))
        if not done.exists():
            ready.touch(mode=0o600)
            shutil.chown(ready, SUPERUSER, SUPERUSER)


def _swap(cluster: Cluster, place: Path, stamp: str) -> Path:
    """Put the new cluster where the old one is, which is renamed; the server runs when this returns."""
    kept = cluster.data.with_name(f"main.before-{stamp}")
    _plan(cluster).write_text(json.dumps({"place": str(place), "kept": str(kept)}), "utf-8")
    finish_swap(cluster)
    return kept


def finish_swap(cluster: Cluster) -> None:
    """Carry out the swap that was planned, from wherever a run before this one was interrupted."""
    plan = _plan(cluster)
    if not plan.exists():
        return
    planned = json.loads(plan.read_text("utf-8"))
    place, kept = Path(planned["place"]), Path(planned["kept"])
    _service(cluster, "stop")
    if place.exists():  # else all was renamed
        if cluster.data.exists():
            _move(cluster.data, kept)
        _move(place, cluster.data)
    _service(cluster, "start")
    wait_until(running(cluster).answers, "the restored server", _SERVICE_TIMEOUT)
    plan.unlink()


def _move(source: Path, target: Path) -> None:
    """Rename a directory; copy it where the file system cannot, whole before the original goes."""
    if not target.exists():
        try:
            source.rename(target)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            draft = target.with_name(f"{target.name}.copying")
            shutil.rmtree(draft, ignore_errors=True)
            programs.run(["cp", "--archive", str(source), str(draft)])
            draft.rename(target)
    shutil.rmtree(source, ignore_errors=True)  # there, after a copy only


def _plan(cluster: Cluster) -> Path:
    return cluster.data.with_name("main.swap.json")


def _service(cluster: Cluster, verb: str) -> None:
    if Path("/run/systemd/system").is_dir():
        command = ["systemctl", verb, f"postgresql@{cluster.version}-main"]
        programs.run(command, timeout=_SERVICE_TIMEOUT)
    else:
        mode = ["--mode=fast"] if verb == "stop" else []
        # 2: it does what it should already.
        programs.run(
            ["pg_ctlcluster", cluster.version, "main", verb, *mode], timeout=_SERVICE_TIMEOUT, accept=(0, 2)
        )
