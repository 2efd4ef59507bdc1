"""Tells the gateway again what this bot finished since the moment to which the database was restored.

The settings name the last restore. One that the journal has not been told for yet begins a round: everything
since is posted, batch by batch, and then what changed meanwhile. The ledger keeps what it has.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.gateway import GatewayAway, GatewayRefused
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.journal import MAX_FORGOTTEN, MAX_TURNS, JournalExcerpt, JournalTaken

SET_ASIDE_BATCH: Final = 200

log = logging.getLogger(__name__)


class JournalTarget(Protocol):
    """Who takes it: the gateway."""

    async def send_journal(self, excerpt: JournalExcerpt) -> JournalTaken: ...


class Resync:
    """Brings the ledger up to the journal after a restore.

    Args:
        settings: the present ones.
    """

    def __init__(
        self,
        journal: Journal,
        target: JournalTarget,
        *,
        settings: Callable[[], BotSettings],
        retry_ceiling: float = 15.0,
    ) -> None:
        self._journal = journal
        self._target = target
        self._settings = settings
        self._retry_ceiling = retry_ceiling
        self._changed = asyncio.Event()

    def settings_changed(self) -> None:
        """The settings may name another restore now."""
        self._changed.set()

    async def run(self) -> None:
        """Look for a restore at each change of the settings, for ever."""
        backoff = Backoff(self._retry_ceiling)
        while True:
            self._changed.clear()
            settings = self._settings()
            try:
                if settings.restored_id and self._journal.told_after() != settings.restored_id:
                    added = await self._tell(settings.restored_since)
                    self._journal.keep_told_after(settings.restored_id)
                    log.info("told again after a restore", extra={"added": added, "action": "resync"})
                backoff.reset()
                await self._changed.wait()
            except (GatewayAway, GatewayRefused, JournalUnavailable) as error:
                pause = backoff.next(error.retry_after if isinstance(error, GatewayAway) else None)
                log.warning("not told yet", extra={"reason": str(error), "pause": pause, "action": "resync"})
                await asyncio.sleep(pause)

    async def _tell(self, since: float) -> int:
        """Post everything since a Unix time, and again what changed while it was posted."""
        forgotten = self._journal.forgotten_since(since)
        for begin in range(0, len(forgotten), MAX_FORGOTTEN):  # first: what is told below is of later
            part = forgotten[begin : begin + MAX_FORGOTTEN]
            await self._target.send_journal(JournalExcerpt(forgotten=part))
        added = 0
        told: dict[str, str] = {}
        while True:
            changed = False
            after = 0
            while batch := self._journal.settled_turns(since, after, MAX_TURNS):
                after = batch[-1][0]
                fresh = [turn for _, turn in batch if told.get(turn.id) != turn.state]
                if fresh:
                    changed = True
                    added += (await self._target.send_journal(JournalExcerpt(turns=fresh))).added
                    told |= {turn.id: turn.state for turn in fresh}
            if not changed:
                break
        after = 0
        while aside := self._journal.set_aside_since(since, after, SET_ASIDE_BATCH):
            after = aside[-1][0]
            excerpt = JournalExcerpt(set_aside=[report for _, report in aside])
            added += (await self._target.send_journal(excerpt)).added
        return added
