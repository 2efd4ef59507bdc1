"""The simulator's telephone: linked from the start, or to be linked like one on WhatsApp.

    <state>/simulator/account.json   `SimulatorAccount`; without it the phone is linked
    <state>/simulator/phone/         what the phone's owner does: JSON (`OwnerAct`), renamed into place

`channels.simulator_owner` is the owner's side.
"""

import asyncio
import logging
import secrets
from pathlib import Path
from typing import Final, Literal

import msgspec

from orbitbot.bot.channels.channel import NotPossible, Observer, UnusableEvent
from orbitbot.bot.channels.inotify import DirectoryWatch
from orbitbot.bot.files import open_regular
from orbitbot.contracts.pairing import Paired, PairingFailed, PhoneCodeShown, QrShown, RoundOver

MAX_FILE: Final = 10_000  # bytes
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"  # WhatsApp's: nothing that is easily mistaken
_CODE_LENGTH: Final = 8

log = logging.getLogger(__name__)


class SimulatorAccount(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Whether a phone is linked, and how its network behaves while it is not.

    Attributes:
        first_seconds, later_seconds: for which QR codes are valid, as WhatsApp has it.
        refused_numbers: for which no phone code is given.
        absent_numbers: which have no account on this network.
    """

    linked: bool = True
    number: str = ""
    codes: int = 6
    first_seconds: float = 60.0
    later_seconds: float = 20.0
    phone_code_seconds: float = 160.0
    refused_numbers: list[str] = []
    absent_numbers: list[str] = []


class OwnerAct(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What the phone's owner does: scans or types a `code`, or removes the linked device. And what a
    contact's phone says of a message with the id `code`: it has it, or it was read."""

    act: Literal["link", "log_out", "delivered", "read"]
    code: str = ""
    number: str = ""


class SimulatorTelephone:
    """The link between the bot and the phone."""

    def __init__(self, directory: Path) -> None:
        self.linked = asyncio.Event()
        self._file = directory / "account.json"
        self._acts = directory / "phone"
        self._acts.mkdir(mode=0o700, exist_ok=True)
        self._account = SimulatorAccount()
        self._observer: Observer | None = None
        self._watch: DirectoryWatch | None = None
        self._round: asyncio.Task[None] | None = None
        self._rounds = 0
        self._code = ""
        self._code_number = ""

    def start(self, observer: Observer) -> None:
        """Connect, or begin the first round."""
        self._observer = observer
        self._account = self._read()
        self._watch = DirectoryWatch(self._acts, self._take_acts)
        if self._account.linked:
            self._connected()
        else:
            observer.set_state("waiting_for_pairing")
            self._begin_round()
        self._take_acts()

    async def stop(self) -> None:
        """Show no more codes and look at nothing the owner does."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        await self._end_round()

    @property
    def refuses(self) -> bool:
        """The bot has started, and no phone is linked: nothing can be sent."""
        return self._observer is not None and not self.linked.is_set()

    def has_account(self, number: str) -> bool:
        """Whether the network knows a number."""
        return number not in self._account.absent_numbers

    async def pair(self) -> None:
        """Begin a new round, unless one is under way.

        Raises:
            NotPossible: the phone is linked.
        """
        self._refuse_linked()
        if self._round is None or self._round.done():
            self._tell().set_state("waiting_for_pairing")
            self._begin_round()

    async def request_phone_code(self, number: str) -> None:
        """Show a code to type instead of the round under way.

        Raises:
            NotPossible: the phone is linked, or its number gets no code.
        """
        self._refuse_linked()
        if number in self._account.refused_numbers:
            self._tell().pairing(PairingFailed(reason="phone_code_refused"))
            raise NotPossible("the network gives no code for this number")
        await self._end_round()
        self._tell().set_state("waiting_for_pairing")
        self._round = asyncio.create_task(self._show_phone_code(number), name="simulator phone code")

    async def log_out(self) -> None:
        """End the link.

        Raises:
            NotPossible: there is none.
        """
        if not self.linked.is_set():
            raise NotPossible("no phone is linked")
        self._unlink("logged out by a command")

    def _begin_round(self) -> None:
        self._rounds += 1
        self._round = asyncio.create_task(self._show_codes(self._rounds), name="simulator round")

    async def _show_codes(self, number: int) -> None:
        account = self._account
        for index in range(1, account.codes + 1):
            self._code, self._code_number = f"simulator:{secrets.token_urlsafe(120)}", ""
            seconds = account.first_seconds if index == 1 else account.later_seconds
            shown = QrShown(text=self._code, round=number, index=index, codes=account.codes, seconds=seconds)
            self._tell().pairing(shown)
            await asyncio.sleep(seconds)
        self._code = ""
        self._tell().pairing(RoundOver(round=number))

    async def _show_phone_code(self, number: str) -> None:
        self._code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
        self._code_number = number
        seconds = self._account.phone_code_seconds
        self._tell().pairing(PhoneCodeShown(text=self._code, number=number, seconds=seconds))
        await asyncio.sleep(seconds)
        self._code = ""
        self._tell().pairing(RoundOver(round=self._rounds))

    async def _end_round(self) -> None:
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)
            self._round = None
        self._code = ""

    def _take_acts(self) -> None:
        for path in sorted(self._acts.glob("[!.]*.json")):
            try:
                with open_regular(path) as file:
                    act = msgspec.json.decode(file.read(MAX_FILE), type=OwnerAct)
            except (UnusableEvent, msgspec.DecodeError, UnicodeDecodeError) as error:
                log.warning("rejected", extra={"file": path.name, "reason": str(error), "action": "phone"})
            else:
                self._take(act)
            path.unlink(missing_ok=True)

    def _take(self, act: OwnerAct) -> None:
        if act.act == "delivered" or act.act == "read":  # noqa: PLR1714  (what mypy understands)
            self._tell().receipt([act.code], act.act)
        elif act.act == "log_out" and self.linked.is_set():
            self._unlink("logged out on the phone")
        elif act.act == "link" and self._code and secrets.compare_digest(act.code, self._code):
            if self._round is not None:
                self._round.cancel()
            self._code = ""
            number = self._code_number or act.number
            self._write(msgspec.structs.replace(self._account, linked=True, number=number))
            self._tell().pairing(Paired(number=number))
            self._connected()
        else:
            log.info("the owner's act comes to nothing", extra={"act": act.act, "action": "phone"})

    def _connected(self) -> None:
        self._tell().set_account(self._account.number)
        self._tell().set_state("connected")
        self.linked.set()

    def _unlink(self, reason: str) -> None:
        self.linked.clear()
        self._write(msgspec.structs.replace(self._account, linked=False, number=""))
        self._tell().set_account("")
        self._tell().set_state("logged_out", reason)

    def _refuse_linked(self) -> None:
        if self.linked.is_set():
            raise NotPossible("a phone is linked already; log out first")

    def _tell(self) -> Observer:
        if self._observer is None:
            raise NotPossible("the channel has not started")
        return self._observer

    def _read(self) -> SimulatorAccount:
        if not self._file.exists():
            return SimulatorAccount()
        with open_regular(self._file) as file:
            return msgspec.json.decode(file.read(MAX_FILE), type=SimulatorAccount)

    def _write(self, account: SimulatorAccount) -> None:
        temporary = self._file.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(account))
        temporary.replace(self._file)
        self._account = account
