"""Sends what the API wants sent, once each: into open chats at an even pace, into new ones within limits."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.channels.channel import Channel, NotSent, Outbound, OutreachLocked, Undeliverable
from orbitbot.bot.gateway import GatewayAway, GatewayRefused
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.bot.journal_changes import PendingSend
from orbitbot.bot.splitting import typing_seconds
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.commands import SendMessage
from orbitbot.foundation.logs import mask_contact

LOOK: Final = 30.0  # seconds between looks at what waits
FIRST_DAYS: Final = 3  # new chats that a number may open on its first day, at least
_DAY: Final = 86_400.0  # seconds
_PERSON_HOSTS: Final = ("", "lid")

log = logging.getLogger(__name__)


class FileSource(Protocol):
    """Where files come from: the gateway."""

    async def fetch_file(self, send: str, target: Path) -> None: ...


class _Held(Exception):
    """Not now; the reason is told."""


class _Refused(Exception):
    """Never; the reason is told."""


class Sender:
    """Sends the journal's pending messages of the API, oldest first; one that has to wait holds up no other.

    Args:
        is_restricted: whether the network lets the number open no conversations at the moment.
        number: the linked phone's, as far as it is known.
        on_ended: told the contact whose turn under way has ended, because a person writes by the API.
    """

    def __init__(
        self,
        journal: Journal,
        channel: Channel,
        files: FileSource,
        directory: Path,
        *,
        settings: Callable[[], BotSettings],
        is_restricted: Callable[[], bool],
        number: Callable[[], str],
        on_report: Callable[[], None],
        on_ended: Callable[[str], None],
        now: Callable[[], float] = time.time,
        retry_ceiling: float = 15.0,
    ) -> None:
        self._journal = journal
        self._channel = channel
        self._files = files
        self._directory = directory
        self._settings = settings
        self._is_restricted = is_restricted
        self._number = number
        self._on_report = on_report
        self._on_ended = on_ended
        self._now = now
        self._retry_ceiling = retry_ceiling
        self._wanted = asyncio.Event()

    def take(self, order: SendMessage, expires_at: float) -> None:
        """Keep a message to send; harmless when repeated.

        Raises:
            JournalUnavailable: it could not be kept.
        """
        contact = self._journal.contact_of(order.to)
        if self._journal.keep_send(order, expires_at) and order.by_person:
            self._journal.end_turn(contact, "human_took_over")
            self._on_ended(contact)
            self._on_report()
        self._wanted.set()

    def look(self) -> None:
        """Something has changed that messages may wait for."""
        self._wanted.set()

    async def run(self) -> None:
        """Send for ever."""
        backoff = Backoff(self._retry_ceiling)
        while True:
            self._wanted.clear()
            pause = LOOK
            try:
                if not await self._round():
                    pause = backoff.next()
                else:
                    backoff.reset()
            except JournalUnavailable as error:
                pause = backoff.next()
                log.critical("messages wait", extra={"reason": error.detail, "action": "send"})
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()

    async def _round(self) -> bool:
        """Try every message once; False if one waits for something that may be over soon."""
        calm = True
        for pending in self._journal.pending_sends():
            try:
                await self._send(pending)
            except _Held as held:
                reason = str(held)
                self._journal.hold_send(pending.id, reason, left_perhaps=pending.state == "sending")
                calm = calm and reason in {"warm_up", "outreach_locked"}
            except _Refused as refused:
                self._finish(pending, sent=False, failure=str(refused))
            self._on_report()
        return calm

    async def _send(self, pending: PendingSend) -> None:
        order, settings = pending.order, self._settings()
        chat = self._journal.contact_of(order.to)
        if self._now() >= pending.expires_at:
            raise _Refused("maybe_sent" if pending.state == "sending" else "expired")
        if order.type in {"read", "typing"}:
            await self._show(chat, order, settings)
            self._finish(pending, sent=True)
            return
        if pending.state == "sending" and await self._has_left(pending, chat):
            self._finish(pending, sent=True)
            return
        await self._check_chat(chat, settings)
        file = await self._file(order)
        try:
            await self._type(chat, order, settings)
            self._journal.begin_send(pending.id)
            message_id = await self._handed_over(self._outbound(order, chat, file))
        finally:
            if file is not None:
                file.unlink(missing_ok=True)
        self._finish(pending, sent=True, message_id=message_id)
        await asyncio.sleep(settings.send_pause_seconds)

    async def _has_left(self, pending: PendingSend, chat: str) -> bool:
        """Whether a message in whose send the bot died has arrived. It is given up where nobody can tell."""
        if self._channel.idempotent_send:
            return False
        try:
            fate = await self._channel.fate(self._outbound(pending.order, chat, None), pending.kept_at)
        except NotSent as error:
            raise _Held("not_connected") from error
        if fate == "unknown":
            raise _Refused("maybe_sent")
        return fate == "left"

    async def _handed_over(self, message: Outbound) -> str:
        try:
            return await self._channel.send(message)
        except Undeliverable as error:
            raise _Refused(error.reason) from error
        except OutreachLocked as error:  # to go on trying is what accounts are banned for
            raise _Refused("outreach_locked") from error
        except NotSent as error:
            log.warning("message waits", extra={"reason": error.detail, "action": "send"})
            raise _Held("not_connected") from error
        except Exception as error:
            log.exception("a send broke off", extra={"send": message.send_id, "action": "send"})
            if self._channel.idempotent_send:
                raise _Held("broken_off") from error
            raise _Refused("maybe_sent") from error

    async def _check_chat(self, chat: str, settings: BotSettings) -> None:
        """Refuse or hold what would open a conversation that may not be opened (now)."""
        if chat.partition("@")[2] not in _PERSON_HOSTS or self._journal.has_written(chat):
            return
        if self._is_restricted():
            raise _Held("outreach_locked")
        if self._journal.is_open(chat):
            return
        now = self._now()
        if self._journal.opened_since(day_began(now, settings)) >= self.limit():
            raise _Held("warm_up")
        if chat.isdigit():
            try:
                known = await self._channel.has_account(chat)
            except NotSent as error:
                raise _Held("not_connected") from error
            if not known:
                raise _Refused("not_on_whatsapp")

    def limit(self) -> int:
        """How many new chats may be opened today."""
        settings = self._settings()
        age = (self._now() - self._journal.linked_since(self._number())) / _DAY
        return new_chats_limit(settings, age)

    def opened_today(self) -> int:
        """How many were."""
        return self._journal.opened_since(day_began(self._now(), self._settings()))

    async def _file(self, order: SendMessage) -> Path | None:
        if not order.media_size:
            return None
        target = self._directory / f".send-{order.send}"
        try:
            await self._files.fetch_file(order.send, target)
        except GatewayAway as error:
            raise _Held("gateway_away") from error
        except GatewayRefused as error:
            raise _Refused("file_gone") from error
        except OSError as error:
            raise _Held("disk_full") from error
        return target

    def _outbound(self, order: SendMessage, chat: str, file: Path | None) -> Outbound:
        sender, text = self._journal.wrote(order.quote or order.target)
        return Outbound(
            send_id=f"send-{order.send}",
            chat=chat,
            text=order.text,
            type=order.type,
            quote=order.quote or None,
            quoted_sender=sender,
            quoted_text=text,
            target=order.target,
            target_own=bool(order.target) and not sender,
            file=str(file) if file is not None else "",
            file_name=order.file_name,
            media_type=order.media_type,
            latitude=order.latitude,
            longitude=order.longitude,
            address=order.address,
        )

    async def _show(self, chat: str, order: SendMessage, settings: BotSettings) -> None:
        if order.type == "read":
            await self._channel.mark_read(chat)
            return
        await self._channel.typing(chat, active=True)
        await asyncio.sleep(settings.max_typing_seconds)
        await self._channel.typing(chat, active=False)

    async def _type(self, chat: str, order: SendMessage, settings: BotSettings) -> None:
        seconds = (
            typing_seconds(order.text, settings) if order.type == "text" and not order.by_person else 0.0
        )
        if seconds > 0:
            await self._channel.typing(chat, active=True)
            await asyncio.sleep(seconds)
            await self._channel.typing(chat, active=False)

    def _finish(self, pending: PendingSend, *, sent: bool, message_id: str = "", failure: str = "") -> None:
        order = pending.order
        chat = "" if order.type in {"read", "typing"} else self._journal.contact_of(order.to)
        self._journal.finish_send(pending.id, chat, sent=sent, message_id=message_id, failure=failure)
        log.info(
            "message sent" if sent else "message not sent",
            extra={"send": pending.id, "contact": mask_contact(chat), "reason": failure, "action": "send"},
        )


def new_chats_limit(settings: BotSettings, age_days: float) -> int:
    """How many conversations a number that was linked `age_days` ago may open in a day: it grows evenly."""
    most = settings.new_chats_per_day
    if age_days >= settings.warm_up_days:
        return most
    grown = most * (int(age_days) + 1) // (settings.warm_up_days + 1)
    return min(most, max(FIRST_DAYS, grown))


def day_began(at: float, settings: BotSettings) -> float:
    """Unix time of the midnight before `at` on the client's clock."""
    here = datetime.fromtimestamp(at, ZoneInfo(settings.timezone))
    return here.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
