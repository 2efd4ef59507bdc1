"""Takes one client's rows over from a restored database. The rows that are replaced are kept in a schema."""

import tempfile
from pathlib import Path
from typing import Any, Final

from orbitbot_backup import programs
from orbitbot_backup.errors import BackupError
from orbitbot_backup.postgresql import SUPERUSER, Server

# Tables whose rows are one client's, the client itself first, and the column that says whose.
_TABLES: Final = """
SELECT quote_ident(table_name), quote_ident(column_name)
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
  AND (column_name = 'client_id' OR (table_name = 'clients' AND column_name = 'id'))
  AND table_name <> 'restores'
ORDER BY table_name <> 'clients', table_name
"""
_COLUMNS: Final = """
SELECT quote_ident(column_name) FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = '{table}' AND is_generated = 'NEVER'
"""


def replace(
    source: Server, source_database: str, target: Server, database: str, *, client: str, stamp: str
) -> dict[str, Any]:
    """Replace a client's rows by those that `source` has, in one transaction.

    Raises:
        BackupError: `source` has no such client; nothing is changed then.
    """
    there = source.query(f"SELECT count(*) FROM clients WHERE id = '{client}'", source_database)
    if there != "1":
        raise BackupError(f"client: there was no client {client!r} at that moment")
    schema = f"before_{stamp}"
    known = {line.split("\t")[0] for line in source.query(_TABLES, source_database).splitlines()}
    lines = ["BEGIN;", "SET LOCAL session_replication_role = replica;", f"CREATE SCHEMA {schema};"]
    rows, count = 0, 0
    data: list[str] = []
    tables = [line.split("\t") for line in target.query(_TABLES, database).splitlines()]
    lines.append(
        f"LOCK TABLE {', '.join(f'public.{table}' for table, _ in tables)} IN SHARE ROW EXCLUSIVE MODE;"
    )
    for table, column in tables:
        mine = f"{column} = '{client}'"
        lines.append(f"CREATE TABLE {schema}.{table} AS SELECT * FROM public.{table} WHERE {mine};")
        lines.append(f"DELETE FROM public.{table} WHERE {mine};")
        if table not in known:
            continue
        columns = _common_columns(source, source_database, target, database, table)
        content = source.query(
            f"COPY (SELECT {columns} FROM public.{table} WHERE {mine}) TO STDOUT", source_database
        )
        if content:
            data.append(f"COPY public.{table} ({columns}) FROM stdin;\n{content}\n\\.")
            rows += content.count("\n") + 1
        count += 1
    _run_script(target, database, "\n".join([*lines, *data, "COMMIT;", ""]))
    return {"kept": f"schema {schema}", "tables": count, "rows": rows}


def _common_columns(source: Server, source_database: str, target: Server, database: str, table: str) -> str:
    """The columns that both know: a later release may have added some, which then get their defaults."""
    sql = _COLUMNS.format(table=table.strip('"'))
    theirs = source.query(sql, source_database).splitlines()
    ours = set(target.query(sql, database).splitlines())
    return ", ".join(each for each in theirs if each in ours)


def _run_script(server: Server, database: str, script: str) -> None:
    with tempfile.TemporaryDirectory(prefix="orbitbot-restore-") as folder:
        path = Path(folder) / "client.sql"
        path.write_text(script, "utf-8")
        programs.run(["chown", "-R", SUPERUSER, folder])
        programs.run(
            ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *server.arguments(database),
             f"--file={path}"],
            user=SUPERUSER,
        )  # fmt: skip
