"""Redis: a pool that gives up quickly, for what may be lost: limits, caches, live events."""

from typing import Final

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from orbitbot.foundation.settings import read_secret

TIMEOUT: Final = 1.5  # seconds, to connect and for an answer: a limit must not hold up what it limits
POOL_TIMEOUT: Final = 5.0  # seconds to wait for a free connection: many callers are no reason to give up
_MAX_CONNECTIONS: Final = 16  # per worker process
_CONNECTION_LOST_RETRIES: Final = 1  # a pooled connection may have died with the server's restart


def redis_pool(url: str, password_file: str) -> ConnectionPool:
    """A connection pool; nothing connects before its first use.

    Args:
        password_file: empty where Redis asks for no password.
    """
    return BlockingConnectionPool.from_url(
        url,
        timeout=POOL_TIMEOUT,
        password=read_secret(password_file) if password_file else None,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), _CONNECTION_LOST_RETRIES),
        max_connections=_MAX_CONNECTIONS,
    )


def redis_client(pool: ConnectionPool) -> Redis:
    """A client on the shared pool."""
    return Redis(connection_pool=pool)
