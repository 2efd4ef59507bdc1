"""Migrations on a real PostgreSQL."""

import psycopg
import pytest

from orbitbot.foundation.errors import SettingsError
from orbitbot.foundation.migrations import Migration, applied_labels, migrate, shipped_migrations
from tests.support.postgres import Cluster, Database


def _applied(database: Database) -> list[int]:
    with database.connect("owner") as connection:
        rows = connection.execute("SELECT version FROM schema_migrations ORDER BY version").fetchall()
    return [row[0] for row in rows]


def test_a_second_run_applies_nothing(database: Database) -> None:
    with database.connect("owner") as connection:
        assert migrate(connection, shipped_migrations(), finalize=True) == []


def test_a_release_runs_the_clean_up_of_the_one_before_but_not_its_own(cluster: Cluster) -> None:
    empty = cluster.create("orbitbot_phases", template="template0")
    old = [Migration(1, "pre", "a", "CREATE TABLE a (x int)"), Migration(2, "post", "b", "DROP TABLE a")]
    new = [
        *old,
        Migration(3, "pre", "c", "CREATE TABLE c (x int)"),
        Migration(4, "post", "d", "DROP TABLE c"),
    ]
    try:
        with empty.connect("owner") as connection:
            migrate(connection, old)
            assert _applied(empty) == [1]
            migrate(connection, new)
            assert _applied(empty) == [1, 2, 3]
            migrate(connection, new, finalize=True)
            assert _applied(empty) == [1, 2, 3, 4]
    finally:
        cluster.drop(empty)


def test_a_failing_migration_leaves_nothing_of_itself(cluster: Cluster) -> None:
    empty = cluster.create("orbitbot_failing", template="template0")
    broken = [
        Migration(1, "pre", "good", "CREATE TABLE good (x int)"),
        Migration(2, "pre", "bad", "CREATE TABLE half (x int); SELECT 1/0"),
    ]
    try:
        with empty.connect("owner") as connection:
            with pytest.raises(psycopg.errors.DivisionByZero):
                migrate(connection, broken)
            assert _applied(empty) == [1]
            assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
    finally:
        cluster.drop(empty)


def test_an_applied_file_may_not_be_changed(database: Database) -> None:
    first, *rest = shipped_migrations()
    changed = [Migration(first.version, first.phase, first.name, first.text + "\n-- later thought"), *rest]
    with database.connect("owner") as connection, pytest.raises(SettingsError, match="was changed after"):
        migrate(connection, changed)


def test_a_post_waits_until_every_release_that_is_followed_knows_it(cluster: Cluster) -> None:
    empty = cluster.create("orbitbot_settled", template="template0")
    migrations = [
        Migration(1, "pre", "a", "CREATE TABLE a (x int)"),
        Migration(2, "post", "b", "DROP TABLE a"),
    ]
    newer = [*migrations, Migration(3, "pre", "c", "CREATE TABLE c (x int)")]
    try:
        with empty.connect("owner") as connection:
            migrate(connection, migrations, settled={1})
            assert _applied(empty) == [1], "the release's own"
            with pytest.raises(SettingsError, match="0002_post_b must run before"):
                migrate(connection, newer, settled={1})
            assert _applied(empty) == [1]
            migrate(connection, migrations, settled={1, 2})
            assert _applied(empty) == [1, 2], "with the next one, though that brings no migration"
            migrate(connection, newer, settled={1, 2})
            assert _applied(empty) == [1, 2, 3]
            assert applied_labels(connection) == ["0001_pre_a", "0002_post_b", "0003_pre_c"]
    finally:
        cluster.drop(empty)
