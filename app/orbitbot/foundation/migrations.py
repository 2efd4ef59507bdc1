"""Schema migrations: plain SQL files, applied in order, each in its own transaction.

A file is named `NNNN_pre_NAME.sql` (runs before the new release serves; the release before this one
must still work on it) or `NNNN_post_NAME.sql` (clean-up that the older release would not survive).
`migrate` applies what is pending up to the highest pending "pre": so a release's "post" files run
when the next release is deployed, or at once with `finalize`.
"""

import argparse
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

import msgspec
import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from orbitbot.foundation.database import conninfo
from orbitbot.foundation.errors import SettingsError, Unavailable
from orbitbot.foundation.settings import DatabaseSettings, Settings, load_settings

_FILE_NAME: Final = re.compile(r"^(\d{4})_(pre|post)_([a-z0-9_]+)\.sql$")
_LOCK_KEY: Final = 0x6F726269  # "orbi": one migration run at a time in a database
_LOCK_TIMEOUT: Final = "60s"
_STATEMENT_TIMEOUT: Final = "15min"  # an index on a large table takes its time

_CREATE_LOG = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    phase text NOT NULL CHECK (phase IN ('pre', 'post')),
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_INSERT_LOG = "INSERT INTO schema_migrations (version, phase, name, checksum) VALUES (%s, %s, %s, %s)"


class MigrateSettings(Settings, frozen=True):
    """`/etc/orbitbot/migrate.toml`: how the owner of the tables logs in."""

    database: DatabaseSettings


class Migration(msgspec.Struct, frozen=True, order=True):
    """One SQL file; `checksum` is the SHA-256 of its text."""

    version: int
    phase: Literal["pre", "post"]
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def shipped_migrations() -> list[Migration]:
    """The migrations of this release, by number.

    Raises:
        SettingsError: a file's name is not in the form above, or a number is used twice.
    """
    found: dict[int, Migration] = {}
    for entry in files("orbitbot.foundation").joinpath("migrations").iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE_NAME.match(entry.name)
        if match is None:
            raise SettingsError(f"{entry.name}: a migration is named NNNN_pre_NAME.sql or NNNN_post_NAME.sql")
        number, phase, name = match.groups()
        if int(number) in found:
            raise SettingsError(f"{entry.name}: number {number} is used twice")
        migration = Migration(
            int(number), "pre" if phase == "pre" else "post", name, entry.read_text("utf-8")
        )
        found[migration.version] = migration
    return [found[version] for version in sorted(found)]


def to_apply(
    migrations: list[Migration], applied: dict[int, str], *, finalize: bool = False
) -> list[Migration]:
    """What a run applies, in order.

    Args:
        applied: version → checksum, as the database has recorded.
        finalize: apply this release's own "post" files too.

    Raises:
        SettingsError: an applied file has been changed since, or a pending one is older than an
            applied "pre".
    """
    for migration in migrations:
        recorded = applied.get(migration.version)
        if recorded is not None and recorded != migration.checksum:
            raise SettingsError(
                f"migration {migration.version:04d}_{migration.name} was changed after it was applied"
            )
    pending = [migration for migration in migrations if migration.version not in applied]
    if finalize:
        return pending
    highest_pre = max((migration.version for migration in pending if migration.phase == "pre"), default=0)
    return [migration for migration in pending if migration.version <= highest_pre]


def migrate(
    connection: Connection[TupleRow], migrations: list[Migration], *, finalize: bool = False
) -> list[Migration]:
    """Apply what is pending and return it. Runs one at a time; an interrupted run may be repeated."""
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_TIMEOUT))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        connection.execute(_CREATE_LOG)
    done: list[Migration] = []
    while True:
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_TIMEOUT))
            connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(_STATEMENT_TIMEOUT))
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
            rows = connection.execute("SELECT version, checksum FROM schema_migrations").fetchall()
            pending = to_apply(migrations, dict(rows), finalize=finalize)
            if not pending:
                return done
            migration = pending[0]
            connection.execute(migration.text.encode())
            connection.execute(
                _INSERT_LOG, (migration.version, migration.phase, migration.name, migration.checksum)
            )
        done.append(migration)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `orbitbot migrate` beside `--settings`."""
    parser.add_argument("--finalize", action="store_true", help="also run this release's own post migrations")


def main(settings_path: Path, *, finalize: bool = False) -> int:
    """Apply pending migrations; prints one line for each, or "up to date"."""
    settings = load_settings(settings_path, MigrateSettings)
    try:
        with psycopg.connect(conninfo(settings.database, "migrate"), autocommit=True) as connection:
            done = migrate(connection, shipped_migrations(), finalize=finalize)
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {error}") from error
    lines = [f"applied {migration.version:04d}_{migration.phase}_{migration.name}" for migration in done]
    print("\n".join(lines) or "up to date")  # noqa: T201  (the command's answer)
    return 0
