"""Fixtures of the gateway's tests: real processes, PostgreSQL and Redis; doubles of AI and speech."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Client, Gateways
from tests.support.keys import Keys
from tests.support.postgres import Cluster, Database
from tests.support.redis import RedisServer
from tests.support.upstreams import AiDouble, SpeechDouble


@pytest.fixture(scope="module")
def ai(keys: Keys) -> Iterator[AiDouble]:
    """The AI service's double."""
    with AiDouble(keys) as double:
        yield double


@pytest.fixture(scope="module")
def speech(keys: Keys) -> Iterator[SpeechDouble]:
    """The speech node's double."""
    with SpeechDouble(keys) as double:
        yield double


@pytest.fixture(scope="module")
def doubles(ai: AiDouble, speech: SpeechDouble) -> tuple[AiDouble, SpeechDouble]:
    """Both of them."""
    return ai, speech


@pytest.fixture(scope="module")
def running(
    cluster: Cluster,
    redis_server: RedisServer,
    keys: Keys,
    doubles: tuple[AiDouble, SpeechDouble],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateways]:
    """One gateway with a short limit for answers, for a module's tests."""
    database = cluster.fresh()
    redis_server.flush()
    gateways = Gateways(tmp_path_factory.mktemp("gateway"), database, redis_server, keys, *doubles)
    try:
        gateways.start(turns="answer_seconds = 4.0\nretry_seconds = 1.0")
        yield gateways
    finally:
        gateways.close()
        cluster.drop(database)


@pytest.fixture
def gateway(running: Gateways) -> Iterator[Gateways]:
    """The module's gateway, with fresh limits and upstreams that behave."""
    running.redis.flush()
    running.ai.reset()
    running.speech.reset()
    yield running
    running.ai.release()
    running.speech.release()


@pytest.fixture
def client(gateway: Gateways) -> Client:
    """A new client of the gateway."""
    return gateway.add_client()


@pytest.fixture
def gateways(
    tmp_path: Path,
    database: Database,
    redis_server: RedisServer,
    keys: Keys,
    doubles: tuple[AiDouble, SpeechDouble],
) -> Iterator[Gateways]:
    """Gateways of the test's own, which it starts itself."""
    redis_server.flush()
    for double in doubles:
        double.reset()
    own = Gateways(tmp_path, database, redis_server, keys, *doubles)
    yield own
    for double in doubles:
        double.release()
    own.close()
