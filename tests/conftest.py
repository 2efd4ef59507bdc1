"""Session-wide fixtures: the private servers that integration tests use. See `tests/support`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.keys import Keys, make_keys
from tests.support.postgres import Cluster, Database
from tests.support.redis import RedisServer

# How long an example takes says more about the machine than about the code.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A private PostgreSQL cluster, started once."""
    directory = Path(tempfile.mkdtemp(prefix="orbitbot-pg-"))  # short: it holds a Unix socket
    private = Cluster(directory)
    try:
        private.start()
        yield private
    finally:
        private.remove()


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    """A fresh, migrated database."""
    fresh = cluster.fresh()
    yield fresh
    cluster.drop(fresh)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A private Redis, started once."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The private Redis's URL (the password is in `redis_server.password_file`), emptied."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The key pair that gateway and services share."""
    return make_keys(tmp_path_factory.mktemp("keys"))
