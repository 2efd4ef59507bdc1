"""Tells the gateway how the bot is, and brings back the settings it runs by."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from orbitbot import __version__
from orbitbot.bot.backoff import Backoff
from orbitbot.bot.gateway import STATUS_TIMEOUT, GatewayAway, GatewayRefused
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.contracts.bot import BotSettings, BotState, BotStatus
from orbitbot.foundation.processes import visible_pid

INTERVAL: Final = 15.0  # seconds between signs of life
FIRST_WORD: Final = 1.5  # seconds that the gateway has to say that another host has taken over
_DAY: Final = 86_400.0  # seconds
LAST_WORD: Final = 0.7  # seconds that the sign "stopping" may take

log = logging.getLogger(__name__)


class StatusTarget(Protocol):
    """Who is told: the gateway."""

    async def put_status(self, status: BotStatus, *, read_timeout: float = STATUS_TIMEOUT) -> BotSettings: ...


class ChatCounts(Protocol):
    """Who knows how many chats the bot has opened: the sender."""

    def opened_today(self) -> int: ...

    def limit(self) -> int: ...


class SignOfLife:
    """Sends the state at every change and every 15 s.

    Attributes:
        state, number: of the channel and the linked phone, as it told them last.
        settings: what the bot runs by: the gateway's last word, kept in the journal for when it is away.
    """

    def __init__(
        self,
        journal: Journal,
        target: StatusTarget,
        *,
        channel: str,
        generation: int = 0,
        on_settings: Callable[[], None],
        retry_ceiling: float = 15.0,
    ) -> None:
        self.settings = journal.settings()
        self._journal = journal
        self._target = target
        self._channel = channel
        self._generation = generation
        self._on_settings = on_settings
        self._retry_ceiling = retry_ceiling
        self.state: BotState = "starting"
        self.number = ""
        self._lid = ""
        self._chats: ChatCounts | None = None
        self._lost: deque[float] = deque(maxlen=10_000)
        self._reason = ""
        self._until: float | None = None
        self._phone_seen_at: float | None = None
        self._changed = asyncio.Event()

    def set_state(self, state: BotState, reason: str = "", *, until: float | None = None) -> None:
        """The channel's state has changed; it is sent at once."""
        if (state, reason, until) != (self.state, self._reason, self._until):
            log.info("state changed", extra={"state": state, "reason": reason, "action": "state"})
            if state == "reconnecting" and self.state != state:
                self._lost.append(time.time())
            self.state, self._reason, self._until = state, reason, until
            self.send_now()

    def set_account(self, number: str, *, lid: str = "", phone_seen_at: float | None = None) -> None:
        """Which phone is linked, and when it last showed a sign of life; its names are sent at once."""
        changed = (number, lid) != (self.number, self._lid)
        self.number, self._lid, self._phone_seen_at = number, lid, phone_seen_at
        if changed:
            self.send_now()

    def send_now(self) -> None:
        """Something that the gateway is told has changed."""
        self._changed.set()

    async def first_word(self) -> None:
        """Show the lease before anything is connected; a gateway that is away keeps nobody from it."""
        try:
            async with asyncio.timeout(FIRST_WORD):
                self._take(await self._target.put_status(self._status(), read_timeout=FIRST_WORD))
        except (GatewayAway, GatewayRefused, TimeoutError) as error:
            log.info(
                "the gateway did not hear of the start", extra={"reason": str(error), "action": "status"}
            )

    async def run(self) -> None:
        """Send for ever."""
        backoff = Backoff(min(self._retry_ceiling, INTERVAL))
        while True:
            self._changed.clear()
            try:
                self._take(await self._target.put_status(self._status()))
                backoff.reset()
                pause = INTERVAL
            except (GatewayAway, GatewayRefused) as error:
                pause = backoff.next()
                log.warning(
                    "no sign of life", extra={"reason": str(error), "pause": pause, "action": "status"}
                )
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def last_word(self) -> None:
        """Say that the bot is stopping, if the gateway listens."""
        self.state, self._reason, self._until = "stopping", "", None
        try:
            async with asyncio.timeout(LAST_WORD):
                await self._target.put_status(self._status(), read_timeout=LAST_WORD)
        except (GatewayAway, GatewayRefused, TimeoutError) as error:
            log.info("the gateway did not hear of the stop", extra={"reason": str(error), "action": "status"})

    def _status(self) -> BotStatus:
        trouble = f"journal: {self._journal.trouble}" if self._journal.trouble else ""
        muted = self.state == "connected" and self.settings.muted
        return BotStatus(
            state="paused" if muted else self.state,
            generation=self._generation,
            channel=self._channel,
            release=__version__,
            reason="; ".join(filter(None, (self._reason, trouble))),
            until=self._until,
            number=self.number,
            lid=self._lid,
            phone_seen_at=self._phone_seen_at,
            pid=visible_pid(),
            journal_backlog=self._backlog(),
            reconnects=sum(at > time.time() - _DAY for at in self._lost),
            **self._chat_counts(),
        )

    def watch_chats(self, counts: ChatCounts) -> None:
        """Tell from now on how many chats were opened, too."""
        self._chats = counts

    def _chat_counts(self) -> dict[str, int]:
        try:
            counts = {"undelivered": self._journal.undelivered()}
            if self._chats is not None:
                counts |= {"new_chats": self._chats.opened_today(), "new_chats_limit": self._chats.limit()}
        except JournalUnavailable:
            return {}
        return counts

    def _backlog(self) -> int:
        try:
            return self._journal.backlog()
        except JournalUnavailable:
            return 0

    def _take(self, settings: BotSettings) -> None:
        if settings == self.settings:
            return
        if settings.muted != self.settings.muted:
            self.send_now()  # its state is another one now
        self.settings = settings
        log.info("settings changed", extra={"version": settings.config_version, "action": "settings"})
        try:
            self._journal.keep_settings(settings)
        except JournalUnavailable as error:
            log.critical("settings not kept", extra={"reason": error.detail, "action": "settings"})
        self._on_settings()
