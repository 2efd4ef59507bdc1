"""Tells a contact, once, that its turn takes long: a voice note, say, that nobody can hear at the moment."""

import asyncio
import logging

from orbitbot.bot.channels.channel import Channel, Outbound
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.bot.models import Turn

log = logging.getLogger(__name__)


class Notifier:
    """Sends notices beside the turns.

    A notice is marked before it is sent: one that is lost does less harm than one that comes twice, and the
    answer follows it anyway.
    """

    def __init__(self, journal: Journal, channel: Channel) -> None:
        self._journal = journal
        self._channel = channel
        self._sending: set[asyncio.Task[None]] = set()

    def tell(self, turn: Turn, text: str) -> None:
        """Send `text` to the turn's chat, unless that was done before."""
        try:
            if not self._journal.note_notice(turn.id):
                return
        except JournalUnavailable as error:
            log.warning("no notice sent", extra={"turn": turn.id, "reason": error.detail, "action": "notice"})
            return
        task = asyncio.create_task(self._send(turn, text))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, turn: Turn, text: str) -> None:
        message = Outbound(send_id=f"{turn.id}-notice", chat=turn.chat, text=text, part=1, parts=1)
        try:
            await self._channel.send(message)
        except Exception:
            log.warning("notice not sent", exc_info=True, extra={"turn": turn.id, "action": "notice"})
        else:
            log.info("contact told to wait", extra={"turn": turn.id, "action": "notice"})

    async def stop(self) -> None:
        """Give up what is being sent."""
        tasks = list(self._sending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
