"""Sends an answer the way a person would: typing, part by part, each marked in the journal."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.channels.channel import Channel, NotSent, Outbound, Undeliverable
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.bot.models import Part, Turn
from orbitbot.bot.splitting import typing_seconds
from orbitbot.contracts.bot import BotSettings

STOP_GRACE: Final = 1.0  # seconds that a send under way gets to end and be marked when the bot stops

log = logging.getLogger(__name__)


class TurnEnded(Exception):
    """The turn has become final meanwhile: a person took over, or a message was changed."""


class Deliverer:
    """Delivers the parts of a turn's answer that the journal has not marked as sent."""

    def __init__(
        self,
        journal: Journal,
        channel: Channel,
        *,
        settings: Callable[[], BotSettings],
        on_report: Callable[[], None],
        retry_ceiling: float = 15.0,
    ) -> None:
        self._journal = journal
        self._channel = channel
        self._settings = settings
        self._on_report = on_report
        self._retry_ceiling = retry_ceiling

    async def deliver(self, turn: Turn) -> None:
        """Send what is left of the turn's answer; it is delivered, or has failed, when this returns.

        Raises:
            JournalUnavailable: call again; what was marked stays marked.
        """
        parts = self._journal.parts(turn.id)
        backoff = Backoff(self._retry_ceiling)
        for part in parts:
            if part.state == "sent":
                continue
            await self._type(turn.chat, part.text)
            # A part found in `sending` may have left before the bot died, or before a send broke off.
            doubtful = part.state == "sending"
            try:
                while (
                    pause := await self._unstoppable(self._send(turn, part, len(parts), doubtful=doubtful))
                ) is not None:
                    await asyncio.sleep(backoff.next(pause or None))
                    doubtful = self._journal.parts(turn.id)[part.position - 1].state == "sending"
            except TurnEnded:
                return
            except Undeliverable as error:
                self._journal.finish_turn(turn.id, "failed", error.reason, report=True)
                self._on_report()
                return

    async def _type(self, chat: str, text: str) -> None:
        seconds = typing_seconds(text, self._settings())
        if seconds > 0:
            await self._channel.typing(chat, active=True)
            await asyncio.sleep(seconds)
            await self._channel.typing(chat, active=False)

    async def _send(self, turn: Turn, part: Part, parts: int, *, doubtful: bool) -> float | None:
        """None once the part has left and is marked; else the seconds that the channel asks to wait."""
        facts = {"turn": turn.id, "part": part.position, "action": "send"}
        quote = turn.members[-1].id if turn.group and part.position == 1 else None
        sender, quoted = self._journal.wrote(quote) if quote else ("", "")
        message = Outbound(
            send_id=part.send_id,
            chat=turn.chat,
            text=part.text,
            quote=quote,
            quoted_sender=sender,
            quoted_text=quoted,
            part=part.position,
            parts=parts,
        )
        if doubtful and not self._channel.idempotent_send:
            try:
                fate = await self._channel.fate(message, turn.members[-1].journaled_at)
            except NotSent as error:
                log.info("nobody can tell yet whether a part left", extra={**facts, "reason": error.detail})
                return error.retry_after or 0.0
            log.warning("a send had broken off", extra={**facts, "fate": fate})
            if fate == "left":
                await self._mark(turn, part, facts)
                return None
            doubtful = fate == "unknown"
        if not self._journal.begin_part(
            turn.id, part.position, maybe_repeated=doubtful and not self._channel.idempotent_send
        ):
            raise TurnEnded
        self._on_report()
        try:
            await self._channel.send(message)
        except Undeliverable as error:
            log.warning("the channel refuses the answer", extra={**facts, "reason": error.detail})
            raise
        except NotSent as error:
            if not doubtful:
                self._journal.withdraw_part(turn.id, part.position)
            log.warning("part not sent, trying again", extra={**facts, "reason": error.detail})
            return error.retry_after or 0.0
        except Exception:  # whatever a channel's library raises: the part may or may not have left
            log.exception("a send broke off, trying again", extra=facts)
            return 0.0
        await self._mark(turn, part, facts)
        return None

    async def _mark(self, turn: Turn, part: Part, facts: Mapping[str, object]) -> None:
        """Mark a part that has left. While the disk is full this waits: to send again would be a double."""
        backoff = Backoff(self._retry_ceiling)
        while True:
            try:
                delivered = self._journal.finish_part(turn.id, part.position)
                break
            except JournalUnavailable as error:
                log.critical("a sent part is not marked", extra={"turn": turn.id, "reason": error.detail})
                await asyncio.sleep(backoff.next())
        if delivered:
            self._on_report()
            log.info("turn delivered", extra=facts)

    async def _unstoppable(self, sending: Coroutine[Any, Any, float | None]) -> float | None:
        """Let a send and its mark end together, even while the bot stops: else it might be repeated."""
        task = asyncio.ensure_future(sending)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=STOP_GRACE)
            if not task.done():
                task.cancel()
            raise
