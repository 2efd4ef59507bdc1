"""Turn-taking: one task per contact with something to do, each going on from what the journal says."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import Final, Protocol

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.delivery import Deliverer
from orbitbot.bot.gateway import Outcome
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.bot.merging import oldest_burst
from orbitbot.bot.models import Turn
from orbitbot.bot.night import after_night, night_ends
from orbitbot.bot.splitting import split_answer
from orbitbot.contracts.bot import BotSettings
from orbitbot.foundation.logs import mask_contact

TURNS_AT_ONCE: Final = 16  # contacts whose turn is posted or delivered at the same time
MEDIA_LOOK: Final = 30.0  # seconds between looks at a voice note that is being fetched
HELD_LOOK: Final = 0.5  # seconds between looks at a contact of whom nothing may be posted yet
NIGHT_LOOK: Final = 600.0  # seconds between looks at the clock at night: it may have been set
LOOP_WINDOW: Final = 600.0  # seconds in which a contact's answers are counted

log = logging.getLogger(__name__)


class AnswerSource(Protocol):
    """Where answers come from: the gateway."""

    async def answer(self, turn: Turn) -> Outcome: ...


class TurnTaker:
    """Merges, posts and delivers, one turn per contact at a time.

    Args:
        settings: gives the settings of the moment.
        on_report: told that a report was queued.
        on_media_free: told that a turn with voice notes became final: they may go.
        on_idle: told the contact of whom nothing is under way any more.
    """

    def __init__(
        self,
        journal: Journal,
        answers: AnswerSource,
        deliverer: Deliverer,
        *,
        settings: Callable[[], BotSettings],
        on_report: Callable[[], None],
        on_media_free: Callable[[], None],
        on_idle: Callable[[str], None],
        now: Callable[[], float] = time.time,
        retry_ceiling: float = 15.0,
    ) -> None:
        self._journal = journal
        self._answers = answers
        self._deliverer = deliverer
        self._settings = settings
        self._on_report = on_report
        self._on_media_free = on_media_free
        self._on_idle = on_idle
        self._now = now
        self._retry_ceiling = retry_ceiling
        self._slots = asyncio.Semaphore(TURNS_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._asking: dict[str, asyncio.Task[Outcome]] = {}

    def start(self) -> None:
        """Take up everything the journal holds unfinished."""
        for contact in self._journal.contacts_with_work():
            self.notify(contact)

    def notify(self, contact: str) -> None:
        """Look at the contact's messages: one more is pending, or the rules have changed."""
        if contact in self._tasks:
            self._wake[contact].set()
            return
        self._wake[contact] = asyncio.Event()
        self._tasks[contact] = asyncio.create_task(
            self._serve(contact), name=f"contact {mask_contact(contact)}"
        )

    def turn_ended(self, contact: str) -> None:
        """Ask no longer for the answer to the contact's turn under way, if that has become final."""
        if contact in self._asking and self._journal.turn_under_way(contact) is None:
            self._asking[contact].cancel()

    def settings_changed(self) -> None:
        """Apply new quiet and burst times to the bursts under way."""
        for wake in self._wake.values():
            wake.set()

    async def stop(self) -> None:
        """Stop where each contact is; the journal knows how to go on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, contact: str) -> None:
        backoff = Backoff(self._retry_ceiling)
        try:
            while True:
                try:
                    if not await self._step(contact):
                        self._on_idle(contact)
                        return
                    backoff.reset()
                except JournalUnavailable as error:
                    log.critical(
                        "the journal holds up a contact",
                        extra={"contact": mask_contact(contact), "reason": error.detail, "action": "turn"},
                    )
                    await asyncio.sleep(backoff.next())
                except Exception:  # one contact's trouble must not end the others' turns
                    log.exception(
                        "a turn broke off", extra={"contact": mask_contact(contact), "action": "turn"}
                    )
                    await asyncio.sleep(backoff.next())
        finally:
            # No await lies between the last look at the journal and this: no message falls in between.
            del self._tasks[contact], self._wake[contact]

    async def _step(self, contact: str) -> bool:  # noqa: PLR0911  (one for each thing to wait for)
        """Wait for, or go on with, the contact's next turn. False when there is nothing left to do."""
        turn = self._journal.turn_under_way(contact)
        if turn is None and not self._journal.pending(contact):
            return False
        if self._journal.is_held(contact):
            await self._sleep_until_woken(contact, HELD_LOOK)
            return True
        if turn is not None:
            async with self._slots:
                await self._go_on(turn)
            return True
        settings = self._settings()
        now = self._now()
        burst = oldest_burst(
            after_night(self._journal.pending(contact), settings),
            quiet_seconds=settings.quiet_seconds,
            burst_seconds=settings.burst_seconds,
        )
        if burst is None:
            return False
        if (morning := night_ends(now, settings)) is not None:
            await self._sleep_until_woken(contact, min(morning - now, NIGHT_LOOK))
            return True
        if burst.is_due(now):
            if any(each.awaits_media for each in burst.members):
                await self._sleep_until_woken(contact, MEDIA_LOOK)  # whoever fetches it wakes us
                return True
            if self._is_loop(contact, settings):
                self._journal.set_pending_aside([each.id for each in burst.members], "loop")
                log.warning("taken for a machine", extra={"contact": mask_contact(contact), "action": "loop"})
                self._on_report()
                return True
            turn_id = uuid.uuid4().hex
            self._journal.fix_turn(turn_id, burst.members)
            log.info(
                "turn fixed",
                extra={"turn": turn_id, "messages": [each.id for each in burst.members], "action": "turn"},
            )
            return True
        await self._sleep_until_woken(contact, burst.closes_at - now)
        return True

    def _is_loop(self, contact: str, settings: BotSettings) -> bool:
        """Whether the contact is answered so often that it must be a machine that answers back."""
        return self._journal.answered_since(contact, self._now() - LOOP_WINDOW) >= settings.loop_turns

    async def _sleep_until_woken(self, contact: str, seconds: float) -> None:
        wake = self._wake[contact]
        wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            pass

    async def _go_on(self, turn: Turn) -> None:
        if turn.state != "fixed" or await self._ask(turn):
            await self._deliverer.deliver(turn)
        if any(each.media for each in turn.members):
            self._on_media_free()

    async def _ask(self, turn: Turn) -> bool:
        """Wait for the answer; whether there is something to deliver."""
        asking = self._asking[turn.contact] = asyncio.ensure_future(self._answers.answer(turn))
        try:
            await asyncio.wait({asking})
            return not asking.cancelled() and self._accept(turn, asking.result())
        finally:
            del self._asking[turn.contact]
            if not asking.done():  # the bot stops
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    def _accept(self, turn: Turn, outcome: Outcome) -> bool:
        """Journal what the gateway said; whether there is something to deliver."""
        if outcome.state == "answered":
            parts = split_answer(outcome.response)
            if parts:
                return self._journal.record_answer(turn.id, parts)
            outcome = Outcome("failed", reason="empty-answer", report=True)
        self._journal.finish_turn(turn.id, outcome.state, outcome.reason, report=outcome.report)
        log.info(
            "turn ended without an answer",
            extra={"turn": turn.id, "state": outcome.state, "reason": outcome.reason, "action": "turn"},
        )
        self._on_report()
        return False
