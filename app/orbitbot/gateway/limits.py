"""Rate limits: atomic in Redis, so that they hold over all workers and hosts; without Redis each worker
counts for itself and the service goes on.

Headers are those of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` and `RateLimit`.
"""

import logging
import math
import time
from typing import Final

import msgspec
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from orbitbot.foundation.errors import TooManyRequests

_PREFIX: Final = "orbitbot:limit"
_DEGRADED_SECONDS: Final = 5.0  # for which Redis is not asked again after it failed

log = logging.getLogger(__name__)


class Policy(msgspec.Struct, frozen=True):
    """At most `requests` in any `seconds`."""

    name: str
    requests: int
    seconds: int


class Usage(msgspec.Struct, frozen=True):
    """What a caller has left of a policy, and in how many seconds it gets something back."""

    policy: Policy
    allowed: bool
    remaining: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """The `RateLimit` headers."""
        policy = self.policy
        return {
            "RateLimit-Policy": f'"{policy.name}";q={policy.requests};w={policy.seconds}',
            "RateLimit": f'"{policy.name}";r={self.remaining};t={self.reset_seconds}',
        }

    def enforce(self) -> None:
        """Raise if it was too much.

        Raises:
            TooManyRequests: with the headers.
        """
        if not self.allowed:
            raise TooManyRequests(
                f"at most {self.policy.requests} requests in {self.policy.seconds} s are allowed here",
                retry_after=self.reset_seconds,
                headers=self.headers,
            )


class Limiter:
    """Counts requests in a moving window."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._shared = MovingWindowRateLimiter(
            RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=_PREFIX,
                connection_pool=pool,  # type: ignore[arg-type]  # its documentation names it, its types do not
            )
        )
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._degraded_until = 0.0

    async def hit(self, policy: Policy, who: str) -> Usage:
        """Count one request of `who`, if there is room for it."""
        return await self._either(policy, who, count=True)

    async def look(self, policy: Policy, who: str) -> Usage:
        """Whether there is room for a request of `who`, without counting one."""
        return await self._either(policy, who, count=False)

    async def _either(self, policy: Policy, who: str, *, count: bool) -> Usage:
        now = time.monotonic()
        if now >= self._degraded_until:
            try:
                return await _ask(self._shared, policy, who, count=count)
            except (RedisError, OSError, TimeoutError) as error:
                self._degraded_until = now + _DEGRADED_SECONDS
                log.warning(
                    "Redis is away: each worker limits for itself",
                    extra={"action": "limit", "error": type(error).__name__},
                )
        return await _ask(self._own, policy, who, count=count)


async def _ask(limiter: MovingWindowRateLimiter, policy: Policy, who: str, *, count: bool) -> Usage:
    item = RateLimitItemPerSecond(policy.requests, policy.seconds, policy.name)
    hit = await limiter.hit(item, who) if count else None
    stats = await limiter.get_window_stats(item, who)
    allowed = stats.remaining > 0 if hit is None else hit
    reset = max(1, math.ceil(stats.reset_time - time.time()))
    return Usage(policy, allowed, max(0, stats.remaining), reset)
