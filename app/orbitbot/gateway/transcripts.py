"""Transcripts by what was heard: the same file, asked for in the same way by the same client, is heard once.

In Redis, because nothing depends on them: a note is heard again where they are lost. They spare the nodes a
note that is posted again after its gateway died, or that a contact forwards to many.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from orbitbot.contracts.transcribe import Transcription
from orbitbot.foundation.names import redis_prefix

KEEP_SECONDS: Final = 24 * 3600
_NOBODYS: Final = "orbitbot:"  # where no client asked
_VERSION: Final = b"1"  # of what is stored

log = logging.getLogger(__name__)


class TranscriptCache:
    """Never raises: without Redis it knows nothing and keeps nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, key: str) -> Transcription | None:
        """The transcript that was kept under `key`."""
        try:
            stored = await self._redis.get(key)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("transcripts are not at hand: %s", type(error).__name__, extra={"action": "cache"})
            return None
        if not isinstance(stored, bytes):
            return None
        try:
            return msgspec.msgpack.decode(stored, type=Transcription)
        except msgspec.MsgspecError:  # of another release
            return None

    async def keep(self, key: str, transcript: Transcription) -> None:
        """Keep `transcript` for a day."""
        try:
            await self._redis.set(key, msgspec.msgpack.encode(transcript), ex=KEEP_SECONDS)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("transcript not kept: %s", type(error).__name__, extra={"action": "cache"})


def transcript_key(content: bytes, fields: Mapping[str, str]) -> str:
    """Where the transcript of a file is kept: by its bytes, and by everything that it was asked with.

    The client is one of the fields, so that no client learns what another one was told.
    """
    digest = hashlib.sha256(_VERSION)
    for name, value in sorted(fields.items()):
        for part in (name.encode(), value.encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
    digest.update(content)
    client = fields.get("client", "")
    return f"{redis_prefix(client) if client else _NOBODYS}transcript:{digest.hexdigest()}"
