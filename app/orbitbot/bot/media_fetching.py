"""Fetches the voice notes that came as references, one after another, after their messages were journaled."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.channels.channel import MediaGone, MediaUnavailable, UnusableEvent
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.bot.media import MediaStore
from orbitbot.bot.models import StoredMedia

PATIENCE: Final = 1800.0  # seconds after which a voice note is given up: its contact is told, late, but told
CEILING: Final = 15.0  # seconds between two attempts at most

log = logging.getLogger(__name__)


class MediaSource(Protocol):
    """Where files come from: the channel."""

    async def fetch_media(self, source: bytes, target: Path) -> None: ...


class MediaFetcher:
    """Fetches what the journal says is wanted, and settles it: there, or never to be.

    Args:
        on_settled: told the contact whose message waits for nothing more.
    """

    def __init__(
        self,
        journal: Journal,
        media: MediaStore,
        source: MediaSource,
        *,
        on_settled: Callable[[str], None],
        now: Callable[[], float] = time.time,
        ceiling: float = CEILING,
    ) -> None:
        self._journal = journal
        self._media = media
        self._source = source
        self._on_settled = on_settled
        self._now = now
        self._ceiling = ceiling
        self._wanted = asyncio.Event()

    def notify(self) -> None:
        """There is something to fetch."""
        self._wanted.set()

    async def run(self) -> None:
        """Fetch for ever."""
        backoff = Backoff(self._ceiling)
        while True:
            self._wanted.clear()
            try:
                if await self._next():
                    backoff.reset()
                else:
                    await self._wanted.wait()
            except (MediaUnavailable, JournalUnavailable) as error:
                pause = backoff.next(error.retry_after)
                log.warning(
                    "voice note not fetched yet",
                    extra={"reason": error.detail, "pause": pause, "action": "media"},
                )
                await asyncio.sleep(pause)

    async def _next(self) -> bool:
        """Settle the oldest wanted voice note; False when there is none.

        Raises:
            MediaUnavailable: it could not be fetched this time.
        """
        found = self._journal.wanted_media()
        if found is None:
            return False
        message_id, contact, journaled_at, wanted = found
        stored = self._media.find(wanted)
        if stored is None:
            try:
                stored = await self._fetch(wanted.source)
            except MediaGone as error:
                log.warning(
                    "voice note is gone",
                    extra={"message_id": message_id, "reason": error.detail, "action": "media"},
                )
            except MediaUnavailable:
                if self._now() - journaled_at < PATIENCE:
                    raise
                log.warning("voice note given up", extra={"message_id": message_id, "action": "media"})
        self._journal.settle_media(message_id, stored)
        self._on_settled(contact)
        return True

    async def _fetch(self, source: bytes) -> StoredMedia | None:
        target = self._media.new_file()
        try:
            await self._source.fetch_media(source, target)
            return self._media.keep(target)
        except UnusableEvent as error:
            raise MediaUnavailable(error.detail) from error
        finally:
            target.unlink(missing_ok=True)
