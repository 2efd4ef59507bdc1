"""A PostgreSQL server as the jobs use it: asked over its socket as `postgres`, and private ones beside it."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from orbitbot_backup import programs
from orbitbot_backup.errors import BackupError
from orbitbot_backup.settings import Cluster

SUPERUSER: Final = "postgres"
SOCKETS: Final = Path("/var/run/postgresql")
RECOVERY_TIMEOUT: Final = 12 * 3600.0  # seconds that reading WAL may take
_POLL: Final = 0.2  # seconds
_START: Final = 10.0  # seconds within which a server that was started writes its process id
_ENDED_EARLY: Final = "recovery ended before configured recovery target was reached"


class Server:
    """A running server, by its socket's directory and port."""

    def __init__(self, sockets: Path, port: int) -> None:
        self.sockets = sockets
        self.port = port

    def arguments(self, database: str) -> list[str]:
        """How psql, pg_dump and pg_restore reach a database of it."""
        return [f"--host={self.sockets}", f"--port={self.port}", f"--dbname={database}"]

    def query(self, sql: str, database: str = "postgres", *, timeout: float = programs.DAY) -> str:
        """Run SQL in one session; unaligned rows without headings, columns separated by tabs.

        Raises:
            BackupError: the server's words.
        """
        return programs.run(
            ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t",
             "--set=ON_ERROR_STOP=1", *self.arguments(database)],
            user=SUPERUSER, stdin=sql, timeout=timeout,
        ).rstrip("\n")  # fmt: skip

    def answers(self) -> bool:
        """Whether it takes a query now."""
        try:
            return self.query("SELECT 1", timeout=20) == "1"
        except BackupError:
            return False

    def databases(self) -> list[str]:
        """The names of its databases."""
        return self.query("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1").splitlines()


def running(cluster: Cluster) -> Server:
    """The server that everybody uses."""
    return Server(SOCKETS, cluster.port)


@contextmanager
def private(cluster: Cluster, data: Path, port: int, *, recovering: bool) -> Iterator[Server]:
    """A server on `data` that only this host's root and `postgres` reach; stopped at the end.

    It archives nothing. It is there when it answers: a recovering one when it is consistent.

    Raises:
        EndedEarly: the archive ends before the moment that recovery is to stop at.
        BackupError: it does not come up; the end of its log.
    """
    sockets = Path(f"/run/orbitbot-backup-{port}")
    sockets.mkdir(mode=0o750, exist_ok=True)
    shutil.chown(sockets, SUPERUSER, SUPERUSER)
    log = data / "private.log"
    log.unlink(missing_ok=True)
    _write_configuration(cluster, data, port, sockets)
    control = cluster.binaries / "pg_ctl"
    try:
        programs.run(
            [control, "start", "--no-wait", f"--pgdata={data}", f"--log={log}",
             f"--options=-c config_file={data}/private.conf"],
            user=SUPERUSER,
            # What restore_command runs finds its cluster by this; later it finds it where Debian has it.
            environment={"PGBACKREST_PG1_PATH": str(data)},
            timeout=60,
        )  # fmt: skip
        server = Server(sockets, port)
        begun = time.monotonic()

        def is_there() -> bool:
            _require_life(data, log, begun)
            return server.answers()

        wait_until(is_there, f"the server on {data}", RECOVERY_TIMEOUT)
        if recovering != (server.query("SELECT pg_is_in_recovery()") == "t"):
            raise BackupError(f"the server on {data} is not as it should be: recovering={not recovering}")
        yield server
    finally:
        if (data / "postmaster.pid").exists():
            programs.run(
                [control, "stop", "--mode=fast", f"--pgdata={data}", "--timeout=600"], user=SUPERUSER
            )
        shutil.rmtree(sockets, ignore_errors=True)
        for name in _PRIVATE:
            (data / name).unlink(missing_ok=True)


_PRIVATE: Final = ("private.conf", "private-hba.conf")
# What a recovering server must have as much of as the one that wrote the WAL.
_AT_LEAST: Final = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}


def _write_configuration(cluster: Cluster, data: Path, port: int, sockets: Path) -> None:
    told = programs.run([cluster.binaries / "pg_controldata", str(data)], user=SUPERUSER)
    pairs = (line.partition(":") for line in told.splitlines())
    values = {key.strip(): value.strip() for key, _, value in pairs}
    settings: dict[str, Any] = {_AT_LEAST[key]: values[key] for key in _AT_LEAST}
    settings |= {
        "hba_file": data / "private-hba.conf",
        "listen_addresses": "",
        "port": port,
        "unix_socket_directories": sockets,
        "archive_mode": "off",
        "hot_standby": "on",
        "timezone": "UTC",
        "logging_collector": "off",
        "autovacuum": "off",
    }
    lines = [f"{key} = '{value}'\n" for key, value in settings.items()]
    for name, text in zip(_PRIVATE, ("".join(lines), "local all all trust\n"), strict=True):
        (data / name).write_text(text, "utf-8")
        shutil.chown(data / name, SUPERUSER, SUPERUSER)


class EndedEarly(BackupError):
    """The archive ends before the moment that recovery is to stop at."""


def _require_life(data: Path, log: Path, begun: float) -> None:
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    if _ENDED_EARLY in text:
        raise EndedEarly(_ENDED_EARLY)
    if not (data / "postmaster.pid").exists() and time.monotonic() - begun > _START:
        words = " | ".join(text.splitlines()[-8:])
        raise BackupError(f"the server on {data} ended: {words or 'without a word'}")


def wait_until(condition: Callable[[], bool], what: str, timeout: float) -> None:
    """Wait for a condition.

    Raises:
        BackupError: it did not come true within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise BackupError(f"{what}: not there after {timeout:g} s")
        time.sleep(_POLL)


def flush_archive(server: Server, timeout: float = 120.0) -> str:
    """Have everything that was committed so far in the archive; the name of the last segment.

    The transaction that is made here gives a recovery up to any earlier moment something to stop before.

    Raises:
        BackupError: archiving does not work; says since when.
    """
    segment = server.query(
        "BEGIN; SELECT pg_current_xact_id() \\g /dev/null\nCOMMIT; SELECT pg_walfile_name(pg_switch_wal());"
    )

    def is_archived() -> bool:
        # The last thing that was archived may be a history file: the status files tell what waits.
        return (
            server.query(
                "SELECT count(*) FROM pg_ls_archive_statusdir() "
                f"WHERE name LIKE '%.ready' AND left(name, 24) <= '{segment}'"
            )
            == "0"
        )

    try:
        wait_until(is_archived, f"WAL segment {segment} in the archive", timeout)
    except BackupError as error:
        why = server.query("SELECT last_failed_wal, last_failed_time FROM pg_stat_archiver")
        raise BackupError(
            f"archiving does not work: {error}; last failure: {' at '.join(why.split())}"
        ) from error
    return segment


_TABLES: Final = """
SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname NOT LIKE 'pg\\_%'
  AND schemaname NOT LIKE 'before\\_%'
ORDER BY 1
"""


def tables(server: Server, database: str) -> list[str]:
    """The tables of a database, quoted, without those that a restore has kept."""
    return server.query(_TABLES, database).splitlines()


def fingerprint_sql(names: list[str]) -> str:
    """SQL that tells of each table its name, its number of rows, and a hash over all of them.

    The hash is the sum of each row's, so that the order of the rows does not matter.
    """
    parts = [
        f"SELECT '{name}', count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {name} AS t"
        for name in (each.replace("'", "''") for each in names)
    ]
    return " UNION ALL ".join(parts)


def read_fingerprints(rows: str) -> dict[str, list[str]]:
    """Table → its number of rows and its hash, from what `fingerprint_sql` returned."""
    return {name: rest for name, *rest in (line.split("\t") for line in rows.splitlines())}


def fingerprints(server: Server, database: str) -> dict[str, list[str]]:
    """Table → its number of rows and its hash."""
    names = tables(server, database)
    return read_fingerprints(server.query(fingerprint_sql(names), database)) if names else {}


def differences(expected: dict[str, list[str]], found: dict[str, list[str]]) -> list[str]:
    """What differs between two such tables, one sentence each."""
    said = [f"{name} is missing" for name in expected.keys() - found.keys()]
    said += [f"{name} is not expected" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        if expected[name] != found[name]:
            (rows, _), (rows_found, _) = expected[name], found[name]
            said.append(
                f"{name} has {rows_found} rows instead of {rows}"
                if rows != rows_found
                else f"{name} has the same number of rows, {rows}, with another content"
            )
    return sorted(said)
