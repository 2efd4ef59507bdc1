"""What tests of backups ask of a fleet: rows of its database, and what `orbitbot-backup` says."""

import json
from typing import Any, Final

import pytest

from tests.fleet.site import Site
from tests.hosts.command import HostsError

JOB_TIMEOUT: Final = 400.0  # seconds
TOLD_AGAIN: Final = 120.0  # seconds until the bots have told again what they finished
METRICS: Final = "/var/lib/orbitbot/metrics/orbitbot-backup.prom"
RECORDS: Final = "/var/lib/orbitbot/backups/records"


class Backups:
    """The backups of a fleet.

    Attributes:
        database: the host of the database.
        repository: the host of the repositories.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        (self.database,) = site.group("database")
        (self.repository,) = site.group("backup")

    def on(self, host: str, command: str, timeout: float = 60.0) -> str:
        """What a shell command on a host printed."""
        return self.site.fleet.ssh(host, command, timeout=timeout).strip()

    def sql(self, query: str) -> str:
        """Rows of a query, as the superuser."""
        return self.on(self.database, f'cd / && runuser -u postgres -- psql -qAt -d orbitbot -c "{query}"')

    def job(self, host: str, *words: str) -> str:
        """What `orbitbot-backup` says on a host."""
        return self.on(host, f"orbitbot-backup {' '.join(words)}", JOB_TIMEOUT)

    def refused(self, host: str, *words: str) -> str:
        """What it says when it fails, which it must."""
        with pytest.raises(HostsError) as failure:
            self.job(host, *words)
        return str(failure.value)

    def wanted(self, host: str) -> set[str]:
        """The jobs that a host must have."""
        jobs = {"files"}
        jobs |= {"dump"} if host == self.database else set()
        return jobs | ({"database", "drill"} if host == self.repository else set())

    def record(self, host: str, job: str) -> dict[str, Any]:
        """What is kept of the last run of a host's job."""
        known: dict[str, Any] = json.loads(self.on(host, f"cat {RECORDS}/{job}.json"))
        return known

    def turns(self) -> str:
        """Every turn that is final, with its state and answer."""
        return self.sql(
            "SELECT id, state, response FROM turns WHERE state IN ('delivered', 'silenced') ORDER BY id"
        )
