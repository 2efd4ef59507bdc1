"""The schema of a database as text, to compare two of them; and `schema.sql` made anew.

`make schema` runs this module: it migrates a private database and writes
`app/orbitbot/foundation/schema.sql`.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from tests.support.postgres import Cluster, Database, binaries

SCHEMA_FILE = Path(__file__).parents[2] / "app/orbitbot/foundation/schema.sql"
_HEADER = """\
-- The schema as all migrations together leave it, for people to read. Written by `make schema`; a test
-- proves it equal to the migrations, which alone are ever run on a host.
"""
# pg_dump's session settings, version notes and its per-run \\restrict token say nothing about the schema.
_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)$\n?", re.MULTILINE)


def dump_schema(database: Database) -> str:
    """Every table, function, policy and grant, in pg_dump's order, without its log of migrations."""
    command = [
        str(binaries() / "pg_dump"),
        "--schema-only",
        "--no-owner",
        "--exclude-table=schema_migrations",
        database.dsn("postgres"),
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return re.sub(r"\n{3,}", "\n\n", _NOISE.sub("", text)).strip() + "\n"


def main() -> None:
    """Write `schema.sql` from the migrations."""
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="orbitbot-pg-")))
    try:
        cluster.start()
        SCHEMA_FILE.write_text(_HEADER + "\n" + dump_schema(cluster.fresh()))
    finally:
        cluster.remove()


if __name__ == "__main__":
    main()
