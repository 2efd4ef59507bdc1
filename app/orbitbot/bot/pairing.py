"""Tells the gateway what happens while a phone is being linked."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.gateway import GatewayAway, GatewayRefused
from orbitbot.bot.sign_of_life import SignOfLife
from orbitbot.contracts.bot import BotState
from orbitbot.contracts.pairing import PairingEvent, PhoneCodeShown, QrShown

RETRY_CEILING: Final = 2.0  # seconds: a code that is told late is worth nothing

log = logging.getLogger(__name__)


class PairingTarget(Protocol):
    """Who is told: the gateway."""

    async def put_pairing(self, event: PairingEvent) -> None: ...


class PairingReporter:
    """Sends the newest event until the gateway has it; what it overtakes is worth nothing any more."""

    def __init__(self, target: PairingTarget) -> None:
        self._target = target
        self._newest: tuple[PairingEvent, float] | None = None  # and when it came, by the loop's clock
        self._came = asyncio.Event()

    def pairing(self, event: PairingEvent) -> None:
        """Something happened on the way to a linked phone."""
        log.info("pairing", extra={"phase": type(event).__name__, "action": "pairing"})
        self._newest = (event, asyncio.get_running_loop().time())
        self._came.set()

    async def run(self) -> None:
        """Send for ever."""
        backoff = Backoff(RETRY_CEILING)
        while True:
            await self._came.wait()
            self._came.clear()
            pause = await self._send(backoff)
            if pause is None:
                backoff.reset()
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._came.wait()
            except TimeoutError:
                self._came.set()

    async def _send(self, backoff: Backoff) -> float | None:
        """Send the newest event; returns the pause before the next attempt, or None if none is needed."""
        newest = self._newest
        if newest is None or (event := _with_time_left(*newest)) is None:
            self._forget(newest)
            return None
        try:
            await self._target.put_pairing(event)
        except GatewayRefused as error:
            log.warning("the gateway refuses it", extra={"reason": str(error), "action": "pairing"})
        except GatewayAway as error:
            pause = backoff.next(error.retry_after)
            log.warning("not told", extra={"reason": error.detail, "pause": pause, "action": "pairing"})
            return pause
        self._forget(newest)
        return None

    def _forget(self, sent: tuple[PairingEvent, float] | None) -> None:
        if self._newest is sent:
            self._newest = None


class Observing:
    """What a channel tells goes to the sign of life, or to the pairing reporter."""

    def __init__(
        self,
        sign_of_life: SignOfLife,
        reporter: PairingReporter,
        on_receipt: Callable[[list[str], Literal["delivered", "read"]], None] = lambda ids, state: None,  # noqa: ARG005
    ) -> None:
        self._sign_of_life = sign_of_life
        self._reporter = reporter
        self._on_receipt = on_receipt

    def set_state(self, state: BotState, reason: str = "", *, until: float | None = None) -> None:
        """The connection's state."""
        self._sign_of_life.set_state(state, reason, until=until)

    def set_account(self, number: str, *, lid: str = "", phone_seen_at: float | None = None) -> None:
        """The linked phone."""
        self._sign_of_life.set_account(number, lid=lid, phone_seen_at=phone_seen_at)

    def pairing(self, event: PairingEvent) -> None:
        """Something happened on the way to a linked phone."""
        self._reporter.pairing(event)

    def receipt(self, message_ids: list[str], state: Literal["delivered", "read"]) -> None:
        """Messages of the bot's have arrived, or were read."""
        self._on_receipt(message_ids, state)


def _with_time_left(event: PairingEvent, came_at: float) -> PairingEvent | None:
    """The event with the seconds that its code has left; None if that has passed."""
    if not isinstance(event, QrShown | PhoneCodeShown):
        return event
    left = event.seconds - (asyncio.get_running_loop().time() - came_at)
    return msgspec.structs.replace(event, seconds=left) if left > 0 else None
