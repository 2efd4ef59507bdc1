"""The rules about pairing: what a bot tells, and what is shown of it."""

import asyncio
from typing import Final

import msgspec

from orbitbot.contracts.commands import CommandView, Pair, PhoneCode
from orbitbot.contracts.pairing import (
    Paired,
    PairingEvent,
    PairingFailed,
    PairingView,
    PhoneCodeShown,
    QrShown,
    RequestPhoneCode,
    RoundOver,
)
from orbitbot.fleet.commands import CommandService
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import Conflict, InvalidInput
from orbitbot.foundation.live import Live, Watch
from orbitbot.foundation.phone_numbers import parse_number
from orbitbot.foundation.text import check_strings
from orbitbot.pairing import store
from orbitbot.pairing.models import BotNow, StoredPairing
from orbitbot.pairing.qr import as_svg

LONGEST_CODE: Final = 600.0  # seconds that any code can be valid
NEXT_CODE_SECONDS: Final = 10.0  # that the next code may take to come after one has passed
SILENT_AFTER: Final = 60.0  # seconds; a bot tells every 15 s how it is
_TEXT_LIMIT: Final = 1000  # characters; a QR code holds 2953 bytes at most
_COUNT_LIMIT: Final = 1_000_000
_ASKING: Final = frozenset({"pair", "phone_code"})
# A bot in one of these states has a phone.
_LINKED: Final = frozenset({"connected", "deaf", "restricted", "paused"})
# … and in one of these it has none, whatever it told before.
_UNLINKED: Final = frozenset({"waiting_for_pairing", "logged_out"})


class PairingService:
    """Takes what bots tell about pairing, and shows it."""

    def __init__(self, database: Database, live: Live, commands: CommandService) -> None:
        self._database = database
        self._live = live
        self._commands = commands

    async def report(self, client_id: str, event: PairingEvent) -> None:
        """Take a bot's word.

        Raises:
            InvalidInput: a code, number or time that cannot be.
        """
        check_strings(event, limit=_TEXT_LIMIT)
        seconds: float | None = None
        match event:
            case QrShown() | PhoneCodeShown():
                seconds = _checked_seconds(event.seconds)
                if not event.text:
                    raise InvalidInput("text", "must not be empty")
            case _:
                pass
        for name in ("round", "index", "codes"):
            if not 0 <= (value := getattr(event, name, 0)) <= _COUNT_LIMIT:
                raise InvalidInput(name, f"{value} is not between 0 and {_COUNT_LIMIT}")
        if number := getattr(event, "number", ""):
            parse_number(number)
        async with self._database.client(client_id) as connection:
            await store.write(connection, client_id, event, seconds)
            if isinstance(event, Paired):
                await store.use_links(connection, client_id)
        await self._live.signal(client_id)

    async def read(self, client_id: str) -> PairingView:
        """Pairing as it is now; `idle` while nothing is known."""
        waiting = await self._commands.waiting_kinds(client_id)
        async with self._database.client(client_id) as connection:
            stored = await store.read(connection, client_id)
            bot = await store.read_bot(connection, client_id)
        return view_of(client_id, stored, bot, asked=not _ASKING.isdisjoint(waiting))

    async def begin(self, client_id: str, *, author: str, key: str | None = None) -> CommandView:
        """Ask the bot for a round of QR codes.

        Raises:
            NotFound: there is no such client.
            Conflict: a phone is linked already.
        """
        await self._refuse_linked(client_id)
        return await self._commands.give(client_id, Pair(), author=author, key=key)

    async def request_phone_code(
        self,
        client_id: str,
        wanted: RequestPhoneCode,
        *,
        author: str,
        country: str = "",
        key: str | None = None,
    ) -> CommandView:
        """Ask the bot for the code that is typed into the phone with this number.

        Raises:
            InvalidInput: not a telephone number.
            NotFound: there is no such client.
            Conflict: a phone is linked already.
        """
        number = parse_number(wanted.number, country=country)
        await self._refuse_linked(client_id)
        return await self._commands.give(client_id, PhoneCode(number), author=author, key=key)

    def watch(self) -> Live:
        """Where signals come from: the topic is the client's id."""
        return self._live

    async def next_view(self, watch: Watch, client_id: str, seen: PairingView, seconds: float) -> PairingView:
        """The next view that differs from `seen` in more than the time left; after `seconds` the present one.

        A code that passes is a difference, though nobody signals it.
        """
        deadline = _now() + seconds
        view = await self.read(client_id)
        while same(view, seen) and (left := deadline - _now()) > 0 and not self._live.closing:
            if view.seconds_left > 0:
                left = min(left, view.seconds_left + _A_MOMENT)
            await watch.wait(left)
            view = await self.read(client_id)
        return view

    async def _refuse_linked(self, client_id: str) -> None:
        view = await self.read(client_id)
        if view.phase == "paired":
            raise Conflict(f"client {client_id!r} has a linked phone; log it out first")


_A_MOMENT: Final = 0.05  # seconds


def view_of(client_id: str, stored: StoredPairing | None, bot: BotNow | None, *, asked: bool) -> PairingView:
    """What is shown, from what the bot told last and how it is."""
    view = PairingView(client_id=client_id, phase="idle", bot_state="unknown", asked=asked)
    if bot is not None and bot.silent_seconds <= SILENT_AFTER:
        view.bot_state, view.bot_reason, view.number = bot.state, bot.reason, bot.number
    else:
        bot = None
    if bot is not None and (bot.state in _LINKED or (bot.number and bot.state not in _UNLINKED)):
        view.phase = "paired"
        return view
    if stored is None:
        return view
    match msgspec.convert(stored.event, PairingEvent):
        case QrShown() as shown if (stored.seconds_left or 0.0) > 0:
            view.phase, view.code, view.svg = "qr", shown.text, as_svg(shown.text)
            view.round, view.index, view.codes = shown.round, shown.index, shown.codes
            view.seconds_left, view.valid_seconds = stored.seconds_left or 0.0, shown.seconds
        case PhoneCodeShown() as shown if (stored.seconds_left or 0.0) > 0:
            view.phase, view.code, view.number = "phone_code", shown.text, shown.number
            view.seconds_left, view.valid_seconds = stored.seconds_left or 0.0, shown.seconds
        case RoundOver() as over:
            view.phase, view.round = "round_over", over.round
        case PairingFailed() as failed:
            view.phase, view.failure, view.detail = "failed", failed.reason, failed.detail
        case Paired() as paired if not _has_ended(stored, bot):
            view.phase, view.number = "paired", paired.number
        case QrShown() | PhoneCodeShown() if (stored.seconds_left or 0.0) > -NEXT_CODE_SECONDS:
            view.asked = True  # the next code, or the word that the round is over, is on its way
        case _:
            pass  # a code that has long passed, or a phone that has gone since
    return view


def _has_ended(stored: StoredPairing, bot: BotNow | None) -> bool:
    """Whether the phone that was linked has gone since."""
    return bot is not None and bot.state in _UNLINKED and bot.state_since > stored.reported_at


def same(one: PairingView, other: PairingView) -> bool:
    """Whether two views show the same, but for the seconds."""
    return msgspec.structs.replace(one, seconds_left=0.0) == msgspec.structs.replace(other, seconds_left=0.0)


def _checked_seconds(seconds: float) -> float:
    if not 0 < seconds <= LONGEST_CODE:
        raise InvalidInput("seconds", f"{seconds} is not between 0 and {LONGEST_CODE:.0f}")
    return seconds


def _now() -> float:
    return asyncio.get_running_loop().time()
