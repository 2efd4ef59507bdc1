"""Fixtures of the ledger's tests: database roles as the services use them, and clients."""

from collections.abc import AsyncIterator

import pytest

from orbitbot.conversations.service import Ledger
from orbitbot.foundation.database import Database
from tests.support import postgres

CLAIM_SECONDS = 30.0


@pytest.fixture
async def gateway_role(database: postgres.Database) -> AsyncIterator[Database]:
    """The database as the gateway sees it for clients' routes."""
    opened = Database(database.settings("gateway"), "test")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def operator_role(database: postgres.Database) -> AsyncIterator[Database]:
    """The database as the gateway sees it for operators' routes."""
    opened = Database(database.settings("operator"), "test-operator")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def shops(database: postgres.Database) -> tuple[str, str]:
    """Two clients."""
    with database.connect("postgres") as superuser:
        superuser.execute(
            "INSERT INTO clients (id, name, channel, language, timezone) VALUES "
            "('padaria', 'Padaria', 'simulator', 'pt', 'America/Sao_Paulo'), "
            "('clinica', 'Clínica', 'simulator', 'pt', 'America/Manaus')"
        )
    return "padaria", "clinica"


@pytest.fixture
def ledger(gateway_role: Database, shops: tuple[str, str]) -> Ledger:
    """The ledger, as one gateway worker uses it."""
    return Ledger(gateway_role, "worker-1", CLAIM_SECONDS)
