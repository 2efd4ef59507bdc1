"""Fixtures of the AI service's tests: the service itself, started as on a host."""

from collections.abc import Iterator

import pytest

from tests.support.ai import Ai, ai_client, ai_service
from tests.support.keys import Keys
from tests.support.openai_server import OpenAIServer
from tests.support.postgres import Cluster


@pytest.fixture(scope="module")
def running_ai(cluster: Cluster, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ai]:
    """One service for a module's tests, with two worker processes."""
    directory = tmp_path_factory.mktemp("ai")
    database, key_file = cluster.fresh(), directory / "provider-key"
    with OpenAIServer() as provider:
        service = ai_service(
            directory, "ai", database=database, provider=provider, key_file=key_file, keys=keys
        )
        service.start()
        try:
            service.wait_ready()
            with ai_client(service.url, keys) as http:
                yield Ai(http, database, provider, key_file, keys, service)
        finally:
            service.stop()
            cluster.drop(database)


@pytest.fixture
def ai(running_ai: Ai) -> Iterator[Ai]:
    """The service without a key, and with a provider that has recorded nothing."""
    yield running_ai
    running_ai.provider.reset()
    running_ai.key_file.unlink(missing_ok=True)
