"""Row security: without a client no rows, with one client's setting nothing of another's."""

import psycopg
import pytest
from psycopg import sql

from tests.support.postgres import Database

ROLES = ("gateway", "ai")
_FILL = """
INSERT INTO clients (id, name, channel, language, timezone) VALUES (%(c)s, 'n', 'simulator', 'pt', 'UTC');
INSERT INTO client_configs (client_id, version, personality, settings, author)
    VALUES (%(c)s, 1, 'p', '{}', 'a');
INSERT INTO credentials (id, client_id, kind, secret_hash) VALUES ('bot.' || %(c)s, %(c)s, 'bot', 'h');
INSERT INTO bot_status (client_id, state, channel, release) VALUES (%(c)s, 'connected', 'simulator', '1');
INSERT INTO turns (client_id, id, contact, type, origin, fingerprint, message, state)
    VALUES (%(c)s, 't', 'x', 'text', 'bot', '', 'm', 'received');
INSERT INTO messages (client_id, id, turn_id, contact, type, sent_at, journaled_at)
    VALUES (%(c)s, 'm', 't', 'x', 'text', now(), now());
INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source)
    VALUES (%(c)s, 't', 'x', 'q', 'a', 'm', 'faq');
INSERT INTO commands (client_id, kind, body, author, expires_at) VALUES (%(c)s, 'pair', '{}', 'a', now());
INSERT INTO pairings (client_id, event) VALUES (%(c)s, '{}');
INSERT INTO pairing_links (secret_hash, client_id, author, expires_at) VALUES (%(c)s, %(c)s, 'a', now());
INSERT INTO ai_calls (client_id, id, purpose, model, own_key, outcome)
    VALUES (%(c)s, gen_random_uuid(), 'chat', 'm', false, 'answered');
INSERT INTO spending (client_id, day, model, own_key) VALUES (%(c)s, current_date, 'm', false);
INSERT INTO reservations (client_id, id, day, own_key, amount_usd)
    VALUES (%(c)s, gen_random_uuid(), current_date, false, 1);
INSERT INTO provider_keys (client_id, sealed, hint, author) VALUES (%(c)s, 's', 'h', 'a');
INSERT INTO summaries (client_id, contact, text, until) VALUES (%(c)s, 'x', 't', now());
INSERT INTO contact_facts (client_id, contact, facts, author) VALUES (%(c)s, 'x', '[]', 'a');
INSERT INTO paused_chats (client_id, contact, reason, author) VALUES (%(c)s, 'x', 'r', 'a');
INSERT INTO client_events (client_id, kind) VALUES (%(c)s, 'k');
INSERT INTO question_sets (client_id, name, questions, author) VALUES (%(c)s, 'n', '[]', 'a');
INSERT INTO question_runs (client_id, id, set_name, draft_digest, state, questions, author)
    VALUES (%(c)s, gen_random_uuid(), 'n', 'd', 'done', 1, 'a');
INSERT INTO moves (client_id, from_host, to_host, author) VALUES (%(c)s, 'h1', 'h2', 'a');
INSERT INTO turn_changes (client_id, turn_id, contact) VALUES (%(c)s, 't', 'x');
INSERT INTO sends (client_id, id, contact, type, author, fingerprint, expires_at)
    VALUES (%(c)s, 's', 'x', 'text', 'a', '', now());
INSERT INTO owner_commands (client_id, turn_id, contact, command, arguments, outcome, reply)
    VALUES (%(c)s, 't', 'x', 'status', '', 'done', 'r');
INSERT INTO restores (id, since, client_id) VALUES (%(c)s, now(), %(c)s);
INSERT INTO erasures (client_id, id, author, counts) VALUES (%(c)s, gen_random_uuid(), 'a', '{}');
"""


@pytest.fixture
def filled(database: Database) -> Database:
    """A database in which every table has rows of two clients."""
    with database.connect("postgres") as superuser:
        for client in ("aa", "bb"):
            for statement in filter(str.strip, _FILL.split(";")):
                superuser.execute(statement.encode(), {"c": client})
    return database


def client_tables(database: Database) -> dict[str, str]:
    """Table → its column with the client's id, for every table that has one, as the catalogue says."""
    with database.connect("postgres") as superuser:
        rows = superuser.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND (column_name = 'client_id' OR "
            "(table_name, column_name) = ('clients', 'id'))"
        ).fetchall()
    return {table: column for table, column in rows}  # noqa: C416  (rows are tuples of any)


def rows(connection: psycopg.Connection, table: str, column: str) -> set[str]:
    query = sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(table))
    return {row[0] for row in connection.execute(query).fetchall()}


def readable(connection: psycopg.Connection, table: str) -> bool:
    return bool(
        connection.execute("SELECT has_table_privilege(current_user, %s, 'SELECT')", (table,)).fetchone()[0]  # type: ignore[index]
    )


def test_every_table_with_a_client_is_known_and_secured(filled: Database) -> None:
    tables = client_tables(filled)
    assert set(tables) == {
        "clients", "client_configs", "credentials", "bot_status", "turns", "messages", "exchanges",
        "commands", "pairings", "pairing_links",
        "ai_calls", "spending", "reservations", "provider_keys", "summaries", "contact_facts", "paused_chats",
        "client_events", "question_sets", "question_runs", "erasures", "restores",
        "moves", "turn_changes", "sends", "owner_commands",
    }  # fmt: skip
    with filled.connect("postgres") as superuser:
        for table, column in tables.items():
            assert rows(superuser, table, column) == {"aa", "bb"}
            flags = superuser.execute(
                "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", (table,)
            ).fetchone()
            assert flags == (True, True), table


@pytest.mark.parametrize("role", ROLES)
def test_without_the_setting_there_are_no_rows(filled: Database, role: str) -> None:
    seen = 0
    with filled.connect(role) as connection:
        for table, column in client_tables(filled).items():
            if readable(connection, table):
                seen += 1
                assert rows(connection, table, column) == set(), table
    assert seen >= 3


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("setting", ["", "nobody", "%", "aa' OR true --"])
def test_a_setting_that_is_no_client_shows_no_rows(filled: Database, role: str, setting: str) -> None:
    with filled.connect(role) as connection, connection.transaction():
        connection.execute("SELECT set_config('orbitbot.client_id', %s, true)", (setting,))
        for table, column in client_tables(filled).items():
            if readable(connection, table):
                assert rows(connection, table, column) == set(), table


@pytest.mark.parametrize("role", ROLES)
def test_one_clients_setting_shows_its_rows_only_and_only_in_its_transaction(
    filled: Database, role: str
) -> None:
    with filled.connect(role) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('orbitbot.client_id', 'aa', true)")
            for table, column in client_tables(filled).items():
                if readable(connection, table):
                    assert rows(connection, table, column) == {"aa"}, table
        for table, column in client_tables(filled).items():
            if readable(connection, table):
                assert rows(connection, table, column) == set(), table


def as_client(connection: psycopg.Connection, statement: str) -> int:
    """Run a statement with the setting of client `aa`; how many rows it changed."""
    with connection.transaction():
        connection.execute("SELECT set_config('orbitbot.client_id', 'aa', true)")
        return connection.execute(statement.encode()).rowcount


def test_nothing_of_another_client_can_be_written(filled: Database) -> None:
    with filled.connect("gateway") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_client(
                connection,
                "INSERT INTO turns (client_id, id, contact, type, origin, fingerprint, message, state) "
                "VALUES ('bb', 'stolen', 'x', 'text', 'bot', '', 'm', 'received')",
            )
        assert as_client(connection, "UPDATE turns SET reason = 'x' WHERE client_id = 'bb'") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_client(connection, "UPDATE turns SET client_id = 'bb', id = 'moved' WHERE client_id = 'aa'")


@pytest.mark.parametrize("role", ROLES)
def test_a_services_role_cannot_get_round_it(filled: Database, role: str) -> None:
    with filled.connect(role) as connection:
        attributes = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles "
            "WHERE rolname = current_user"
        ).fetchone()
        assert attributes == (False, False, False, False)
        for statement in (
            "ALTER TABLE turns DISABLE ROW LEVEL SECURITY",
            "SET ROLE orbitbot_operator",
            "SET row_security = off; SELECT * FROM clients",
            "SELECT * FROM operators",
            "DELETE FROM clients",
            "TRUNCATE turns",
            "CREATE TABLE mine (x int)",
        ):
            with pytest.raises(psycopg.errors.Error):
                connection.execute(statement.encode())


def test_the_owner_is_bound_too(filled: Database) -> None:
    with filled.connect("owner") as connection:
        for table, column in client_tables(filled).items():
            assert rows(connection, table, column) == set(), table


def test_the_operators_role_sees_every_client(filled: Database) -> None:
    with filled.connect("operator") as connection:
        for table, column in client_tables(filled).items():
            assert rows(connection, table, column) == {"aa", "bb"}, table
