"""Fixtures of the AI service's tests: the service itself, started as on a host."""

from collections.abc import Iterator

import pytest

from tests.support.ai import Ai, running
from tests.support.keys import Keys
from tests.support.postgres import Cluster


@pytest.fixture(scope="module")
def running_ai(cluster: Cluster, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ai]:
    """One service for a module's tests, with two worker processes."""
    with running(tmp_path_factory.mktemp("ai"), cluster, keys) as ai:
        yield ai


@pytest.fixture
def ai(running_ai: Ai) -> Iterator[Ai]:
    """The service without a key, and with a provider that has recorded nothing."""
    yield running_ai
    running_ai.provider.reset()
    running_ai.key_file.unlink(missing_ok=True)
