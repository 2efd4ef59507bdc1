"""Fixtures of the AI service's tests: the service itself, started as on a host."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.ai import PROVIDER_TIMEOUT, SETTINGS, Ai
from tests.support.keys import Keys
from tests.support.net import free_port
from tests.support.openai_server import OpenAIServer
from tests.support.postgres import Cluster
from tests.support.stack import ORBITBOT, Service


@pytest.fixture(scope="module")
def running_ai(cluster: Cluster, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ai]:
    """One service for a module's tests, with two worker processes."""
    directory = tmp_path_factory.mktemp("ai")
    database, port, key_file = cluster.fresh(), free_port(), directory / "provider-key"
    settings_file = directory / "ai.toml"
    with OpenAIServer() as provider:
        settings_file.write_text(
            SETTINGS.format(
                keys=keys,
                port=port,
                database=database,
                provider=provider,
                key_file=key_file,
                timeout=PROVIDER_TIMEOUT,
            )
        )
        command = [ORBITBOT, "ai", "--settings", str(settings_file)]
        service = Service("ai", command, directory / "ai.log", f"http://127.0.0.1:{port}")
        service.start()
        try:
            service.wait_ready()
            token = keys.signer().sign(
                subject="service:gateway", audience="ai", scopes=frozenset({"service"})
            )
            with httpx.Client(
                base_url=service.url,
                headers={"Authorization": f"Bearer {token}"},
                timeout=20.0,
                trust_env=False,
            ) as http:
                yield Ai(http, database, provider, key_file, keys, service)
        finally:
            service.stop()
            cluster.drop(database)


@pytest.fixture
def ai(running_ai: Ai) -> Iterator[Ai]:
    """The service without a key, without clients, and with a provider that has recorded nothing."""
    yield running_ai
    running_ai.provider.reset()
    running_ai.key_file.unlink(missing_ok=True)
