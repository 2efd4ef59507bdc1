"""Hands the journal's reports to the gateway, in order and in batches."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.gateway import GatewayAway, GatewayRefused
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.bot.models import QueuedReport

BATCH: Final = 200  # the most that the contract allows

log = logging.getLogger(__name__)


class ReportTarget(Protocol):
    """Who takes reports: the gateway."""

    async def send_reports(self, reports: Sequence[QueuedReport]) -> None: ...


class ReportQueue:
    """Sends reports until the gateway has accepted them. Repeating one is harmless."""

    def __init__(self, journal: Journal, target: ReportTarget, *, retry_ceiling: float = 15.0) -> None:
        self._journal = journal
        self._target = target
        self._retry_ceiling = retry_ceiling
        self._queued = asyncio.Event()

    def notify(self) -> None:
        """There is something in the queue."""
        self._queued.set()

    async def run(self) -> None:
        """Send for ever."""
        backoff = Backoff(self._retry_ceiling)
        batch = BATCH
        while True:
            self._queued.clear()
            try:
                reports = self._journal.next_reports(batch)
                if not reports:
                    batch = BATCH
                    await self._queued.wait()
                    continue
                try:
                    await self._target.send_reports(reports)
                except GatewayRefused as error:
                    batch = self._narrow_down(reports, error)
                else:
                    self._journal.forget_reports(reports)
                backoff.reset()
            except (GatewayAway, JournalUnavailable) as error:
                pause = backoff.next(error.retry_after)
                log.warning(
                    "reports wait", extra={"reason": error.detail, "pause": pause, "action": "report"}
                )
                await asyncio.sleep(pause)

    def _narrow_down(self, reports: Sequence[QueuedReport], error: GatewayRefused) -> int:
        """One bad report must not hold up the rest: halve the batch until it is found, then set it aside."""
        if len(reports) > 1:
            return len(reports) // 2
        log.warning(
            "the gateway refuses a report",
            extra={"reason": str(error), "report": reports[0].seq, "action": "report"},
        )
        self._journal.refuse_report(reports[0], str(error))
        return BATCH
