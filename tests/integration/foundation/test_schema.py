"""`schema.sql` is what the migrations make."""

from tests.support.postgres import Cluster, Database
from tests.support.schema import SCHEMA_FILE, dump_schema


def test_schema_file_equals_the_migrations(cluster: Cluster, database: Database) -> None:
    from_file = cluster.create("orbitbot_from_file", template="template0")
    try:
        with from_file.connect("postgres") as connection:
            connection.execute(SCHEMA_FILE.read_bytes())
        assert dump_schema(from_file) == dump_schema(database), "run `make schema`"
    finally:
        cluster.drop(from_file)


def test_every_table_with_a_client_forces_row_security(database: Database) -> None:
    with database.connect("postgres") as connection:
        unprotected = connection.execute("""
            SELECT c.relname FROM pg_class c
            WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
              AND (c.relname = 'clients' OR EXISTS (
                    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'client_id'))
              AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
        """).fetchall()
        protected = connection.execute("SELECT count(*) FROM pg_policies").fetchone()
    assert unprotected == []
    assert protected is not None
    assert protected[0] > 0
