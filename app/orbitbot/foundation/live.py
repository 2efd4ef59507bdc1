"""Tells whoever waits that something has changed, in every process: by Redis, which may be lost.

A signal carries nothing but its topic: who hears it looks into the database. Without Redis, waiters in
other processes look by themselves every second.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

EVERYBODY: Final = "*"  # the topic of everybody who watches anything
_CHANNEL: Final = "orbitbot:live"
_LOOK_SECONDS: Final = 1.0  # between looks of their own, while Redis is away
_LISTEN_SECONDS: Final = 1.0  # that one read from Redis may take
_SILENT_SECONDS: Final = 5.0  # after which a connection that answers no ping is given up
_RETRY_SECONDS: Final = 1.0  # between attempts to listen again

log = logging.getLogger(__name__)


def _check_alive(silent: float) -> None:
    if silent > _SILENT_SECONDS:
        raise TimeoutError


class Watch:
    """One waiter."""

    def __init__(self, live: "Live") -> None:
        self._live = live
        self._signal = asyncio.Event()

    def wake(self) -> None:
        """Something has changed."""
        self._signal.set()

    async def wait(self, seconds: float) -> None:
        """Return when something may have changed, or after `seconds`."""
        if not self._live.hears:
            seconds = min(seconds, _LOOK_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._signal.wait()
        except TimeoutError:
            return
        self._signal.clear()


class Live:
    """Signals by topic.

    Attributes:
        hears: signals of other processes arrive.
        closing: this process is ending; who waits should return.
    """

    def __init__(self, redis: Redis) -> None:
        self.hears = False
        self.closing = False
        self._redis = redis
        self._watches: dict[str, set[Watch]] = {}
        self._listener: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._listener = asyncio.create_task(self._listen(), name="live signals")

    def close(self) -> None:
        """Wake everybody for the last time, because the process is ending."""
        self.closing = True
        self._wake_all()

    async def stop(self) -> None:
        """End listening."""
        self.close()
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def signal(self, topic: str) -> None:
        """Wake everybody who watches `topic`, here at once and elsewhere if Redis is there."""
        self._wake(topic)
        try:
            await self._redis.publish(_CHANNEL, topic)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning(
                "a live signal stays in this process", extra={"action": "live", "error": type(error).__name__}
            )

    @contextmanager
    def watch(self, topic: str) -> Iterator[Watch]:
        """Watch `topic`. Begin before the first look, so that nothing falls between look and wait."""
        watch = Watch(self)
        self._watches.setdefault(topic, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[topic]
            watches.discard(watch)
            if not watches:
                del self._watches[topic]

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(_CHANNEL)
                    await pubsub.ping()  # its answer tells that the connection stands
                    heard_at = time.monotonic()
                    while True:
                        message = await pubsub.get_message(timeout=_LISTEN_SECONDS)
                        if message is None:
                            _check_alive(time.monotonic() - heard_at)
                            await pubsub.ping()
                            continue
                        heard_at = time.monotonic()
                        if not self.hears:
                            self.hears = True
                            self._wake_all()  # what was signalled before is looked up now
                        if message["type"] == "message":
                            self._wake(message["data"].decode())
            except (RedisError, OSError, TimeoutError) as error:
                if self.hears:
                    log.warning(
                        "Redis is away: waiters look for themselves",
                        extra={"action": "live", "error": type(error).__name__},
                    )
                self.hears = False
                self._wake_all()
                await asyncio.sleep(_RETRY_SECONDS)

    def _wake(self, topic: str) -> None:
        if topic == EVERYBODY:
            self._wake_all()
            return
        for watch in self._watches.get(topic, ()):
            watch.wake()

    def _wake_all(self) -> None:
        for topic in list(self._watches):
            self._wake(topic)
