"""Schema migrations: plain SQL files, applied in order, each in its own transaction.

A file is named `NNNN_pre_NAME.sql` (runs before the new release serves; the release before this one
must still work on it) or `NNNN_post_NAME.sql` (clean-up that the older release would not survive).
`migrate` applies what is pending up to the highest pending "pre": so a release's "post" files run
when the next release is deployed, or at once with `finalize`. Told which migrations every running release
knows (`settled`), it applies exactly the "post" files among them, and refuses where a later "pre" waits for
another one.
"""

import hashlib
import re
from collections.abc import Collection
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
    def label(self) -> str:
        """Its file's name without the ending."""
        return f"{self.version:04d}_{self.phase}_{self.name}"

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
    migrations: list[Migration],
    applied: dict[int, str],
    *,
    finalize: bool = False,
    settled: Collection[int] | None = None,
) -> list[Migration]:
    """What a run applies, in order.

    Args:
        applied: version → checksum, as the database has recorded.
        finalize: apply this release's own "post" files too.
        settled: versions that every running release knows; None where that is not known.

    Raises:
        SettingsError: an applied file has been changed since, or a "pre" waits for a "post" that a
            running release does not know.
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
    if settled is not None:
        return _without_unknown_posts(pending, highest_pre, settled)
    return [migration for migration in pending if migration.version <= highest_pre]


def _without_unknown_posts(
    pending: list[Migration], highest_pre: int, settled: Collection[int]
) -> list[Migration]:
    unknown = [each for each in pending if each.phase == "post" and each.version not in settled]
    if unknown and unknown[0].version < highest_pre:
        raise SettingsError(
            f"migration {unknown[0].label} must run before this release's own, and a release that runs now"
            " does not know it: deploy the release that brought it first"
        )
    return [each for each in pending if each not in unknown]


def migrate(
    connection: Connection[TupleRow],
    migrations: list[Migration],
    *,
    finalize: bool = False,
    settled: Collection[int] | None = None,
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
            pending = to_apply(migrations, dict(rows), finalize=finalize, settled=settled)
            if not pending:
                return done
            migration = pending[0]
            connection.execute(migration.text.encode())
            connection.execute(
                _INSERT_LOG, (migration.version, migration.phase, migration.name, migration.checksum)
            )
        done.append(migration)


def applied_labels(connection: Connection[TupleRow]) -> list[str]:
    """What the database has, by `Migration.label`, in order."""
    connection.execute(_CREATE_LOG)
    rows = connection.execute(
        "SELECT version, phase, name FROM schema_migrations ORDER BY version"
    ).fetchall()
    return [f"{version:04d}_{phase}_{name}" for version, phase, name in rows]


def main(
    settings_path: Path, *, finalize: bool = False, settled: str | None = None, show: bool = False
) -> int:
    """Apply pending migrations and print one line for each, or "up to date"; with `show`, print the applied.

    Args:
        settled: numbers, separated by commas, of the migrations that every running release knows.
    """
    settings = load_settings(settings_path, MigrateSettings)
    known = None if settled is None else {int(each) for each in settled.split(",") if each}
    try:
        with psycopg.connect(conninfo(settings.database, "migrate"), autocommit=True) as connection:
            if show:
                print("\n".join(applied_labels(connection)))  # noqa: T201  (the command's answer)
                return 0
            done = migrate(connection, shipped_migrations(), finalize=finalize, settled=known)
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {error}") from error
    lines = [f"applied {migration.label}" for migration in done]
    print("\n".join(lines) or "up to date")  # noqa: T201  (the command's answer)
    return 0
