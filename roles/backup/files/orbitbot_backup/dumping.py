"""The logical dump, with what it must hold: how many rows each table has, and a hash over them.

Dump, figures and a named restore point in the WAL are of one and the same moment. So the figures can be
compared exactly, with the dump and with a cluster that was recovered to the restore point.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from orbitbot_backup import programs
from orbitbot_backup.errors import BackupError
from orbitbot_backup.postgresql import (
    SUPERUSER,
    Server,
    differences,
    fingerprint_sql,
    fingerprints,
    flush_archive,
    read_fingerprints,
    running,
    tables,
)
from orbitbot_backup.settings import Cluster

DUMP: Final = "database.dump"
MANIFEST: Final = "manifest.json"
ROLES: Final = "roles.sql"
_LOCK_SECONDS: Final = 3  # that writers may have to wait for, once, while all of them come to an end
_ATTEMPTS: Final = 10


@dataclass(frozen=True)
class Manifest:
    """What a dump holds.

    Attributes:
        at: Unix time of the moment.
        restore_point: its name in the WAL.
        tables: table → its number of rows and its hash.
    """

    database: str
    at: float
    restore_point: str
    tables: dict[str, list[str]]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(int(rows) for rows, _ in self.tables.values())


def read_manifest(folder: Path) -> Manifest:
    """The manifest beside a dump.

    Raises:
        BackupError: there is none, or it cannot be read.
    """
    try:
        return Manifest(**json.loads((folder / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{folder / MANIFEST}: {error}") from error


def dump(cluster: Cluster, folder: Path) -> Manifest:
    """Write dump, roles and manifest into `folder`, which is made anew, and read the dump once."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    shutil.chown(folder, SUPERUSER, SUPERUSER)
    server = running(cluster)
    names = tables(server, cluster.database)
    if not names:
        raise BackupError(f"database {cluster.database} has no table")
    point = f"orbitbot-dump-{int(time.time())}"
    with _session(server, cluster.database) as session:
        at, snapshot = _quiet_moment(session, names, point)
        programs.run(
            ["pg_dump", *server.arguments(cluster.database), "--format=custom", "--compress=6",
             f"--snapshot={snapshot}", "--exclude-schema=before_*", f"--file={folder / DUMP}"],
            user=SUPERUSER,
        )  # fmt: skip
        found = read_fingerprints(session.run(fingerprint_sql(names)))
    roles = programs.run(
        ["pg_dumpall", f"--host={server.sockets}", f"--port={server.port}", "--globals-only",
         "--no-role-passwords"],
        user=SUPERUSER,
    )  # fmt: skip
    (folder / ROLES).write_text(roles, "utf-8")
    manifest = Manifest(cluster.database, at, point, found)
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", "utf-8")
    programs.run(["pg_restore", "--file=/dev/null", str(folder / DUMP)], user=SUPERUSER)
    flush_archive(server)  # so that the restore point is there for the drill
    return manifest


def load(server: Server, folder: Path, database: str, owner_from: str) -> Manifest:
    """Make the new database `database` from a dump, and compare it with the manifest.

    Args:
        owner_from: the database whose owner the new one gets; its own name where there is none.

    Raises:
        BackupError: something could not be restored, or the figures differ; the database is left to look at.
    """
    manifest = read_manifest(folder)
    owner = server.query(
        "SELECT quote_ident(rolname) FROM pg_database JOIN pg_roles r ON r.oid = datdba "
        f"WHERE datname = '{owner_from}'"
    )
    server.query(f'DROP DATABASE IF EXISTS "{database}"')
    server.query(
        f"CREATE DATABASE \"{database}\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' "
        f"LC_CTYPE 'C.UTF-8'" + (f" OWNER {owner}" if owner else "")
    )
    programs.run(
        ["pg_restore", "--exit-on-error", *server.arguments(database), str(folder / DUMP)], user=SUPERUSER
    )
    differing = differences(manifest.tables, fingerprints(server, database))
    if differing:
        raise BackupError(f"database {database} is not what was dumped: {'; '.join(differing)}")
    return manifest


def _quiet_moment(session: "_Session", names: list[str], point: str) -> tuple[float, str]:
    """A snapshot and a restore point of one moment, in which no transaction is under way.

    The locks go when the savepoint is rolled back; the snapshot stays until the session ends.
    """
    for attempt in range(_ATTEMPTS):
        try:
            session.run(
                "BEGIN ISOLATION LEVEL REPEATABLE READ; SAVEPOINT quiet; "
                f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'; LOCK TABLE {', '.join(names)} IN SHARE MODE;"
            )
        except BackupError:
            if attempt + 1 == _ATTEMPTS:
                raise
            session.run("ROLLBACK;")
            time.sleep(1)
            continue
        at = session.run(
            f"SELECT extract(epoch FROM clock_timestamp()) FROM pg_create_restore_point('{point}');"
        )
        session.run("ROLLBACK TO SAVEPOINT quiet; RELEASE SAVEPOINT quiet;")
        return float(at), session.run("SELECT pg_export_snapshot();")
    raise AssertionError


class _Session:
    """One psql that stays connected."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._count = 0

    def run(self, sql: str) -> str:
        """Run SQL; rows as `Server.query` returns them.

        Raises:
            BackupError: the server's words.
        """
        self._count += 1
        end = f"end of answer {self._count}"
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError
        self._process.stdin.write(f"\\set answer_ok true\n{sql.rstrip(';')};\n\\echo {end} :ERROR\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(end):
                if line.split()[-1] == "true":
                    raise BackupError(" | ".join(lines) or "the server refused")
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise BackupError(f"psql ended: {' | '.join(lines)}")


@contextmanager
def _session(server: Server, database: str) -> Iterator[_Session]:
    command = [
        "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t",
        *server.arguments(database),
    ]  # fmt: skip
    with subprocess.Popen(  # noqa: S603  (no shell)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
        env=programs.environment_for(SUPERUSER), **programs.identity(SUPERUSER),  # type: ignore[call-overload]
    ) as process:  # fmt: skip
        try:
            yield _Session(process)
        finally:
            process.stdin.close()
            process.wait(timeout=60)
