"""A private PostgreSQL cluster for a test session: Debian's server, in a temporary directory."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orbitbot.foundation.migrations import migrate, shipped_migrations
from orbitbot.foundation.settings import DatabaseSettings
from tests.support.net import free_port, port_is_open, wait_for

ROLES = ("orbitbot_owner", "orbitbot_gateway", "orbitbot_operator", "orbitbot_ai")
PASSWORD = "for-tests-only"  # of every role of the private cluster
_TEMPLATE = "orbitbot_template"


def binaries() -> Path:
    """Where Debian keeps the newest installed PostgreSQL server.

    Raises:
        FileNotFoundError: PostgreSQL is not installed; says what to do.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError(
            "these tests need Debian's package `postgresql`: run `make test`, which installs it"
        )
    return found[-1].parent


@dataclass
class Database:
    """One migrated database of the cluster."""

    name: str
    port: int
    password_file: Path

    def settings(self, role: str, pool_size: int = 4) -> DatabaseSettings:
        """Settings for one of `ROLES` (`gateway` is short for `orbitbot_gateway`)."""
        return DatabaseSettings(
            user=role if role.startswith("orbitbot_") else f"orbitbot_{role}",
            password_file=str(self.password_file),
            name=self.name,
            port=self.port,
            pool_size=pool_size,
        )

    def dsn(self, role: str) -> str:
        """A libpq connection string for one of `ROLES`, or `postgres` (superuser)."""
        user = role if role == "postgres" or role.startswith("orbitbot_") else f"orbitbot_{role}"
        return make_conninfo(host="127.0.0.1", port=self.port, dbname=self.name, user=user, password=PASSWORD)

    def connect(self, role: str) -> psycopg.Connection:
        """A synchronous connection in autocommit mode."""
        return psycopg.connect(self.dsn(role), autocommit=True)


class Cluster:
    """A PostgreSQL server of its own on a free port, as user `postgres` if we are root.

    Args:
        durable: it writes to the disk as PostgreSQL does by default; else not at all, which is faster.
    """

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self.directory = directory
        self._hasty = "" if durable else "-F -c full_page_writes=off -c synchronous_commit=off "
        self.port = free_port()
        self.data = directory / "data"
        self.password_file = directory / "password"
        self._bin = binaries()
        self._count = 0

    def _run(self, *command: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        done = subprocess.run(
            command, user=user, group=user, extra_groups=[] if user else None,
            cwd=self.directory, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if done.returncode != 0:
            log = self.directory / "log"
            raise RuntimeError(f"{command[0]}: {done.stderr}{log.read_text() if log.exists() else ''}")

    def start(self) -> None:
        """Initialise on first use, start, and create roles and the migrated template database."""
        if not self.data.exists():
            self.password_file.write_text(PASSWORD)
            if os.geteuid() == 0:
                account = pwd.getpwnam("postgres")
                os.chown(self.directory, account.pw_uid, account.pw_gid)
                self.password_file.chmod(0o644)
            self._run(
                str(self._bin / "initdb"), "-D", str(self.data), "-U", "postgres", "-E", "UTF8",
                "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={self.password_file}", "--no-sync",
            )  # fmt: skip
        self.run_server()
        if self._count == 0:
            self._prepare_template()

    def run_server(self) -> None:
        """Start the server (again)."""
        options = (
            f"-p {self.port} -k {self.directory} -h 127.0.0.1 {self._hasty}"
            "-c max_connections=200 -c shared_buffers=64MB -c jit=off"
        )
        log = self.directory / "log"
        self._run(
            str(self._bin / "pg_ctl"),
            "-D",
            str(self.data),
            "-w",
            "-t",
            "30",
            "-l",
            str(log),
            "-o",
            options,
            "start",
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; `mode` as in pg_ctl."""
        self._run(str(self._bin / "pg_ctl"), "-D", str(self.data), "-w", "-t", "30", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop and delete everything."""
        if port_is_open(self.port):
            self.stop("immediate")
        shutil.rmtree(self.directory)

    def _superuser(self, database: str = "postgres") -> psycopg.Connection:
        dsn = make_conninfo(
            host="127.0.0.1", port=self.port, dbname=database, user="postgres", password=PASSWORD
        )
        return psycopg.connect(dsn, autocommit=True)

    def _prepare_template(self) -> None:
        wait_for(lambda: port_is_open(self.port), "PostgreSQL listens")
        with self._superuser() as connection:
            for role in ROLES:
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), PASSWORD)
                )
        self.create(_TEMPLATE, template="template0")
        owner = Database(_TEMPLATE, self.port, self.password_file)
        with owner.connect("owner") as connection:
            migrate(connection, shipped_migrations(), finalize=True)

    def create(self, name: str, template: str = _TEMPLATE) -> Database:
        """A new database owned by `orbitbot_owner`, as the playbook makes it."""
        with self._superuser() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER orbitbot_owner TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL(
                    "GRANT CONNECT ON DATABASE {} TO orbitbot_gateway, orbitbot_operator, orbitbot_ai"
                ).format(sql.Identifier(name))
            )
        if template == "template0":
            with self._superuser(name) as connection:
                connection.execute("ALTER SCHEMA public OWNER TO orbitbot_owner")
        return Database(name, self.port, self.password_file)

    def fresh(self) -> Database:
        """A new migrated database with a name of its own."""
        self._count += 1
        return self.create(f"orbitbot_{self._count}")

    def drop(self, database: Database) -> None:
        """Delete a database, also while somebody is connected."""
        with self._superuser() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name))
            )
