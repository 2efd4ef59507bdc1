"""The neonize channel: WhatsApp as a linked device of the client's own phone.

    <state>/neonize/session.db   WhatsApp's keys: whoever has this file is the client
    <state>/neonize/phone.json   which phone is linked (`neonize_state`)

neonize falls silent in several ways (docs/operations/whatsapp.md lists them): it does not retry a first
connection, does not return when a round of codes is over, goes on as if connected when it is deaf. So its
word is not taken for it. One *session* after another runs under a watch, and each ends with a verdict
that says what is next.
"""

import asyncio
import logging
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.channels import neonize_calls as calls
from orbitbot.bot.channels import neonize_library
from orbitbot.bot.channels.channel import (
    Fate,
    MediaGone,
    MediaUnavailable,
    NotPossible,
    NotSent,
    Observer,
    Outbound,
    OutreachLocked,
    Receive,
    Undeliverable,
    UnusableEvent,
)
from orbitbot.bot.channels.neonize_events import (
    LID,
    Ignored,
    read_message,
    read_poison,
    read_undecryptable,
)
from orbitbot.bot.channels.neonize_session import Session, SessionOver
from orbitbot.bot.channels.neonize_state import LinkedPhone, PhoneFile
from orbitbot.bot.models import InboundEvent
from orbitbot.contracts.bot import BotState
from orbitbot.contracts.pairing import (
    Paired,
    PairingFailed,
    PairingFailure,
    PhoneCodeShown,
    QrShown,
    RoundOver,
)

CODES: Final = 6  # of a round; WhatsApp's number
FIRST_CODE: Final = 60.0  # seconds that the first code of a round is good for
LATER_CODE: Final = 20.0  # … and each other one
ROUND: Final = FIRST_CODE + (CODES - 1) * LATER_CODE
SETTLED: Final = 5.0  # seconds after which a new connection has calmed down
PHONE_SILENT: Final = 10 * 86_400.0  # seconds without a sign of life of the phone before a warning
HANG_TIME: Final = 10.0  # seconds that a session may take to end before the process gives itself up
UNREAD_PER_CHAT: Final = 50  # messages that are marked as read together
OUTREACH_LOCKED: Final = 463  # WhatsApp's error: this account may not write to this contact now
# Types of neonize's receipts that tell something of the bot's own messages.
_RECEIPTS: Final[dict[int, Literal["delivered", "read"]]] = {1: "delivered", 4: "read", 6: "read"}
LOCK_TIME: Final = 900.0  # seconds before such a contact is written to again
REPLACED_PAUSE: Final = 60.0  # seconds before a session that another process has opened is taken back
RECEIPT_WAIT: Final = 10.0  # seconds after a connection in which receipts that waited for it have come
RECEIPTS_KEPT: Final = 1000
# Kinds of receipts that only a message gets that has arrived. A phone that could not read it asks by `RETRY`.
_ARRIVED: Final = frozenset({"DELIVERED", "SENDER", "READ", "PLAYED"})
OUTDATED_PAUSE: Final = 1800.0  # seconds between attempts with a release that WhatsApp does not take

log = logging.getLogger(__name__)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the watch is, in seconds.

    Attributes:
        look: between two looks.
        connect: for a connection to come about, or to come back by itself.
        probe: between two round trips that prove that WhatsApp still answers.
        answer: for the answer to one.
        receipt: after a send, for anything at all to come from WhatsApp.
        proven: between two restarts for want of receipts.
    """

    look: float = 5.0
    connect: float = 90.0
    probe: float = 60.0
    answer: float = 20.0
    receipt: float = 180.0
    proven: float = 1800.0


class _Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is next after a session.

    Attributes:
        pause: seconds before the next; None: as the back-off says.
        wait_for_pair: the next one begins when somebody asks for it.
        round_over: every code of the round has passed.
    """

    state: BotState
    reason: str = ""
    until: float | None = None
    pause: float | None = None
    wait_for_pair: bool = False
    round_over: bool = False


class NeonizeChannel:
    """The bot's side of WhatsApp, by neonize."""

    idempotent_send = False
    acknowledges_early = True

    def __init__(self, directory: Path, pace: Pace = Pace()) -> None:  # noqa: B008  (frozen)
        self._directory = directory
        self._pace = pace
        directory.mkdir(mode=0o700, exist_ok=True)
        self._file = PhoneFile(directory / "phone.json")
        self._receive: Receive = _nobody
        self._observer: Observer | None = None
        self._life: asyncio.Task[None] | None = None
        self._session: Session | None = None
        self._verdict: asyncio.Future[_Verdict] | None = None
        self._state: BotState = "starting"
        self._asked_to_pair = asyncio.Event()
        self._code_came = asyncio.Event()
        self._round = 0
        self._code_index = 0
        self._round_began = 0.0
        self._phone_code = False
        self._offers_codes = False
        self._logging_out = False
        self._look_now = asyncio.Event()
        self._heard_at = 0.0
        self._connected_at = 0.0
        self._sent_at = 0.0
        self._receipts: deque[str] = deque(maxlen=RECEIPTS_KEPT)
        self._receipt_came = asyncio.Event()
        self._lost_at: float | None = None
        self._deaf_restart_at = float("-inf")
        self._replaced = 0
        self._lid = ""  # the number's other name; groups mention it by that
        self._locked: dict[str, float] = {}
        self._unread: dict[str, deque[tuple[str, Any, Any]]] = defaultdict(
            lambda: deque(maxlen=UNREAD_PER_CHAT)
        )

    # The Channel protocol

    async def start(self, receive: Receive, observer: Observer) -> None:
        """Begin to connect, or the first round of codes where no phone is linked."""
        self._receive, self._observer = receive, observer
        neonize_library.silence_standard_output()
        self._tell_account()
        self._set("starting")
        self._life = asyncio.create_task(self._live(), name="neonize life")

    async def stop(self) -> None:
        """End the session; nothing is delivered after this."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._life = None
        await self._end_session()

    async def send(self, message: Outbound) -> str:
        """Send one message; returns WhatsApp's id of it.

        Raises:
            NotSent: it has not left.
            Undeliverable: WhatsApp refuses it for good.
        """
        if self._state not in {"connected", "restricted"}:
            raise NotSent(f"WhatsApp is not connected ({self._state})")
        if (locked := self._locked.get(message.chat, 0.0) - time.time()) > 0:
            raise OutreachLocked("WhatsApp lets this number write to this contact later", retry_after=locked)
        await self._mark_read(message.chat)
        try:
            own = self._file.phone.number
            message_id: str = await self._call("send", lambda client: calls.send(client, message, own))
        except SessionOver as error:
            raise NotSent(str(error)) from error
        except Exception as error:
            self._explain(message, str(error))
            raise
        self._sent_at = _now()
        return message_id

    async def fate(self, message: Outbound, since: float) -> Fate:
        """What became of earlier sends: by neonize's own record of their ids, and by the contact's receipts.

        Raises:
            NotSent: WhatsApp is not connected: the receipts that wait there have not come.
        """
        if self._state not in {"connected", "restricted"}:
            raise NotSent(f"WhatsApp is not connected ({self._state})")
        ids = calls.ids_of_sends(self._directory / "session.db", message.send_id)
        if ids is None or since < self._file.phone.paired_at:  # an earlier link's record went with it
            return "unknown"
        if not ids:
            return "not_left"
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._connected_at + RECEIPT_WAIT):
                while not set(ids) & set(self._receipts):
                    self._receipt_came.clear()
                    await self._receipt_came.wait()
        return "left" if set(ids) & set(self._receipts) else "unknown"

    async def typing(self, chat: str, *, active: bool) -> None:
        """Mark what the contact wrote as read, and show that an answer is being typed."""
        if self._state not in {"connected", "restricted"}:
            return
        if active:
            await self._mark_read(chat)
        with suppress(Exception):  # a nicety: nothing depends on it
            async with asyncio.timeout(self._pace.answer):
                await self._call("ask", lambda client: calls.show_typing(client, chat, active=active))

    async def mark_read(self, chat: str) -> None:
        """Mark what the contact wrote as read."""
        if self._state in {"connected", "restricted"}:
            await self._mark_read(chat)

    async def has_account(self, number: str) -> bool:
        """Whether a number is on WhatsApp.

        Raises:
            NotSent: WhatsApp was not to be asked.
        """
        if self._state not in {"connected", "restricted"}:
            raise NotSent(f"WhatsApp is not connected ({self._state})")
        try:
            async with asyncio.timeout(self._pace.answer):
                return bool(await self._call("ask", lambda client: calls.has_account(client, number)))
        except Exception as error:
            raise NotSent(f"WhatsApp was asked for the number: {error or 'no answer'}") from error

    async def fetch_media(self, source: bytes, target: Path) -> None:
        """Fetch a voice note.

        Raises:
            MediaGone: WhatsApp has it no longer, or it is not what its sender said.
            MediaUnavailable: not this time.
        """
        if self._state not in {"connected", "restricted"}:
            raise MediaUnavailable(f"WhatsApp is not connected ({self._state})")
        try:
            await self._call("fetch", lambda client: calls.fetch(client, source, target))
        except SessionOver as error:
            raise MediaUnavailable(str(error)) from error
        except OSError as error:
            raise MediaUnavailable(f"the media folder cannot be written: {error.strerror}") from error
        except Exception as error:
            if calls.is_gone(str(error)):
                raise MediaGone(str(error)) from error
            raise MediaUnavailable(str(error)) from error

    async def pair(self) -> None:
        """Begin a round of codes, unless one is under way.

        Raises:
            NotPossible: a phone is linked.
        """
        self._refuse_if_linked()
        self._asked_to_pair.set()

    async def request_phone_code(self, number: str) -> None:
        """Ask for the code to type into the phone with `number`; it has a round's time from now.

        Raises:
            NotPossible: a phone is linked, or WhatsApp gives no code.
        """
        self._refuse_if_linked()
        if self._round_is_old():
            self._decide(
                _Verdict(state="waiting_for_pairing", reason="a new round for a phone code", pause=0.0)
            )
        self._asked_to_pair.set()
        try:
            async with asyncio.timeout(self._pace.connect):
                await self._code_came.wait()
                self._phone_code = True
                code = await self._call("ask", lambda client: client.PairPhone(number, True))  # noqa: FBT003
        except Exception as error:
            self._phone_code = False
            detail = str(error) or "WhatsApp did not answer in time"
            self._failed("phone_code_refused", detail)
            raise NotPossible(f"WhatsApp gives no code for this number: {detail}") from error
        left = max(0.0, ROUND - (_now() - self._round_began))
        self._tell(lambda observer: observer.pairing(PhoneCodeShown(text=code, number=number, seconds=left)))

    async def log_out(self) -> None:
        """End the link and forget the session.

        Raises:
            NotPossible: WhatsApp could not be told.
        """
        self._logging_out = True  # WhatsApp may tell of it before it answers
        try:
            async with asyncio.timeout(self._pace.answer):
                await self._call("ask", lambda client: client.logout())
        except Exception as error:
            self._logging_out = False
            raise NotPossible(f"WhatsApp could not be told: {error or 'no answer'}") from error
        self._forget_phone()
        self._decide(_Verdict(state="logged_out", reason="by command", wait_for_pair=True))

    # Life

    async def _live(self) -> None:
        backoff = Backoff(ceiling=60.0, first=1.0)
        while True:
            verdict = await self._one_session()
            if self._heard_at:
                backoff.reset()
            pause = backoff.next() if verdict.pause is None else verdict.pause
            self._set(verdict.state, verdict.reason, until=verdict.until)
            if verdict.round_over:
                self._tell(lambda observer: observer.pairing(RoundOver(round=self._round)))
            if verdict.wait_for_pair:
                await self._asked_to_pair.wait()
            else:
                log.info(
                    "next session", extra={"pause": pause, "reason": verdict.reason, "action": "connect"}
                )
                await asyncio.sleep(pause)

    async def _one_session(self) -> _Verdict:
        self._verdict = asyncio.get_running_loop().create_future()
        self._code_came.clear()
        self._heard_at = self._sent_at = 0.0
        self._lost_at = None
        self._code_index = 0
        self._phone_code = self._offers_codes = self._logging_out = False
        self._session = Session(
            self._directory / "session.db",
            on_event=self._take_event,
            on_code=self._take_code,
            on_login=self._take_login,
            on_end=self._take_end,
            on_poison=self._take_poison,
        )
        self._session.start()
        watch = asyncio.create_task(self._watch(), name="neonize watch")
        try:
            await asyncio.wait({self._verdict, watch}, return_when=asyncio.FIRST_COMPLETED)
            self._asked_to_pair.clear()  # who asks from now on means the next session
            return self._verdict.result() if self._verdict.done() else watch.result()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await self._end_session(HANG_TIME)

    async def _end_session(self, patience: float | None = None) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if not self._heard_at:
            # Before it has logged in neonize often cannot be ended: its thread waits for the next code, or
            # for an answer to its call, and does nothing else. Another session may begin beside it.
            await session.stop(0.0 if self._offers_codes else 1.0)
        elif patience is None:
            await session.stop()
        elif not await session.stop(patience):
            # A second client beside one that hangs would crash the library. Nothing is lost: the journal is
            # on disk, and supervisor starts the next process.
            log.critical("the process gives itself up", extra={"action": "stop"})
            logging.shutdown()
            os._exit(os.EX_TEMPFAIL)

    async def _watch(self) -> _Verdict:
        """Look after the session until it has to end."""
        began, probed_at = _now(), _now()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.look):
                    await self._look_now.wait()
            asked, now = self._look_now.is_set(), _now()
            self._look_now.clear()
            self._unlock()
            self._warn_of_silent_phone()
            if self._state in {"waiting_for_pairing", "passkey_required"} and self._code_index:
                if now - self._round_began > ROUND + self._pace.look + 5.0:
                    return _round_over()
                if not await self._is_connected():
                    return _round_over() if self._code_index >= CODES else _lost_while_waiting()
            elif self._state not in {"connected", "restricted", "deaf"}:
                since = began if self._lost_at is None else self._lost_at
                if now - since > self._pace.connect:
                    return _Verdict(state="reconnecting", reason="no connection came about in time")
            elif asked or now - probed_at > self._pace.probe:
                probed_at = now
                if not await self._answers():
                    return self._deaf("WhatsApp does not answer")
            elif self._misses_receipts(now):
                self._deaf_restart_at = now
                return self._deaf("nothing came from WhatsApp after a message was sent")

    async def _is_connected(self) -> bool:
        """What neonize says: while it offers codes it loses its connection without a word."""
        try:
            async with asyncio.timeout(self._pace.answer):
                return bool(await self._call("ask", lambda client: client.is_connected))
        except TimeoutError:
            return False  # it hangs in a lock of its own
        except SessionOver:
            return True  # the verdict is on its way

    async def _answers(self) -> bool:
        """A round trip to WhatsApp and back, proof of life that neonize's word is not."""
        heard = self._heard_at
        try:
            async with asyncio.timeout(self._pace.answer):
                await self._call("ask", lambda client: client.get_blocklist())
        except TimeoutError:
            return self._heard_at > heard or self._state not in {"connected", "restricted"}
        except Exception as error:  # noqa: BLE001  (an answer that says no is an answer)
            log.info("the probe was answered by an error", extra={"reason": str(error), "action": "probe"})
        return True

    def _misses_receipts(self, now: float) -> bool:
        """Whether a message was taken long ago and nothing of any kind has come since: not a receipt, not a
        word. Once in a while such silence is the contact's; so this is not done again soon."""
        silent = self._sent_at > self._heard_at and now - self._sent_at > self._pace.receipt
        return silent and now - self._deaf_restart_at > self._pace.proven

    def _deaf(self, reason: str) -> _Verdict:
        self._set("deaf", reason)
        return _Verdict(state="reconnecting", reason=f"restarted: {reason}", pause=0.5)

    # What neonize tells; on the event loop's thread

    def _take_code(self, text: str) -> None:
        self._code_index += 1
        seconds = LATER_CODE if self._code_index > 1 else FIRST_CODE
        if self._code_index == 1:
            self._round += 1
            self._round_began = _now()
            if self._file.phone.number:  # the session is gone, whatever we remembered
                self._forget_phone()
            self._set("waiting_for_pairing")
        self._offers_codes = True
        self._code_came.set()
        if not self._phone_code:
            code = QrShown(
                text=text,
                seconds=seconds,
                round=self._round,
                index=self._code_index,
                codes=max(CODES, self._code_index),
            )
            self._tell(lambda observer: observer.pairing(code))

    def _take_login(self, word: str) -> None:
        log.info("pairing", extra={"word": word, "action": "pairing"})
        self._offers_codes = word == "passkey-request"
        match word:
            case "success":
                self._set("starting", "a phone was linked")
            case "timeout" if self._code_index >= CODES:
                self._decide(_round_over())
            case "timeout":
                self._decide(_lost_while_waiting())
            case "passkey-request":
                self._set("passkey_required", "WhatsApp asks the phone's owner for a passkey")
                self._failed("passkey_required", "WhatsApp asks for a passkey before it links this phone")
            case "err-client-outdated":
                self._failed("client_outdated", "WhatsApp does not take this release's protocol any more")
                self._decide(_outdated())
            case "err-scanned-without-multidevice":
                self._failed("multi_device_needed", "this phone's WhatsApp cannot link devices")
            case _:
                self._failed("error", word)
                self._decide(_Verdict(state="reconnecting", reason=f"pairing failed: {word}"))

    def _take_end(self, reason: str) -> None:
        self._decide(_Verdict(state="reconnecting", reason=reason or "neonize ended the session"))

    def _take_poison(self, event: Any) -> None:
        with suppress(UnusableEvent):
            self._receive(read_poison(event))

    def _take_event(self, event: Any) -> None:
        handle = getattr(self, f"_on_{type(event).__name__.lower()}", None)
        if handle is not None:
            handle(event)

    def _on_pairstatus(self, event: Any) -> None:
        if event.Error:
            self._failed("error", event.Error)
            return
        self._file.link(event.ID.User)
        self._tell_account()
        self._tell(lambda observer: observer.pairing(Paired(number=event.ID.User)))

    def _on_connected(self, _: Any) -> None:
        self._lost_at = None
        self._heard()
        self._connected_at = _now()
        self._replaced = 0
        self._set("connected")
        self._unlock()
        asyncio.get_running_loop().call_later(SETTLED, neonize_library.give_memory_back)
        task = asyncio.create_task(self._learn_number(self._file.phone), name="neonize number")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _on_disconnected(self, _: Any) -> None:
        if self._state in {"connected", "restricted", "deaf"}:
            self._lost_at = _now()
            self._set("reconnecting", "the connection was lost")

    def _on_keepalivetimeout(self, _: Any) -> None:
        self._look_now.set()

    def _on_keepaliverestored(self, _: Any) -> None:
        self._heard()

    def _on_message(self, event: Any) -> None:
        self._heard()
        self._see_phone(event.Info.MessageSource, event.Info.Timestamp / 1000)
        try:
            message = read_message(event, paired_at=self._file.phone.paired_at, own=self._own())
        except Ignored as error:
            log.debug("nothing to read", extra={"message_id": event.Info.ID, "parts": str(error)})
            return
        self._take(message)
        if message.kind == "message":
            source = event.Info.MessageSource
            self._unread[message.chat].append((message.id, source.Chat, source.Sender))

    def _on_undecryptablemessage(self, event: Any) -> None:
        self._heard()
        self._take(read_undecryptable(event))

    def _on_receipt(self, event: Any) -> None:
        self._heard()
        self._see_phone(event.MessageSource, event.Timestamp / 1000)
        if event.ReceiptType.Name(event.Type) in _ARRIVED:
            self._receipts.extend(event.MessageIDs)
            self._receipt_came.set()
        state = _RECEIPTS.get(event.Type)
        if state is not None and not event.MessageSource.IsFromMe:
            ids = list(event.MessageIDs)
            self._tell(lambda observer: observer.receipt(ids, state))

    def _on_loggedout(self, event: Any) -> None:
        self._forget_phone()
        if self._logging_out:
            self._decide(_Verdict(state="logged_out", reason="by command", wait_for_pair=True))
            return
        reason = {403: "WhatsApp has locked the account", 406: "WhatsApp has banned the account"}.get(
            event.Reason, "the link was ended on the phone"
        )
        state: BotState = "banned" if event.Reason == 406 else "logged_out"  # noqa: PLR2004
        self._decide(_Verdict(state=state, reason=reason, wait_for_pair=True))

    def _on_streamreplaced(self, _: Any) -> None:
        self._replaced += 1
        pause = min(REPLACED_PAUSE * 2 ** (self._replaced - 1), OUTDATED_PAUSE)
        self._decide(
            _Verdict(state="reconnecting", reason="another process has opened this session", pause=pause)
        )

    def _on_temporaryban(self, event: Any) -> None:
        seconds = event.Expire / (1e9 if event.Expire > 1e7 else 1)  # noqa: PLR2004  (Go's nanoseconds)
        until = time.time() + seconds
        self._decide(
            _Verdict(
                state="banned",
                reason=f"WhatsApp has locked the number for a time (code {event.Code})",
                until=until,
                pause=seconds + 1.0,
            )
        )

    def _on_clientoutdated(self, _: Any) -> None:
        self._decide(_outdated())

    def _on_connectfailure(self, event: Any) -> None:
        self._decide(
            _Verdict(
                state="reconnecting",
                reason=f"WhatsApp refused the connection: {event.Reason} {event.Message}",
            )
        )

    # Inner parts

    def _take(self, event: InboundEvent) -> None:
        try:
            self._receive(event)
        except UnusableEvent as error:
            log.warning(
                "message rejected",
                extra={"message_id": event.id, "reason": error.detail, "action": "receive"},
            )

    def _heard(self) -> None:
        self._heard_at = _now()

    def _own(self) -> frozenset[str]:
        return frozenset(filter(None, (self._file.phone.number, self._lid)))

    def _see_phone(self, source: Any, at: float) -> None:
        if source.IsFromMe and source.Sender.Device == 0 and self._file.seen(at):
            self._tell_account()
            if self._state == "connected":
                self._set("connected")  # without a warning

    def _set(self, state: BotState, reason: str = "", *, until: float | None = None) -> None:
        self._state = state
        self._tell(lambda observer: observer.set_state(state, reason, until=until))

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        if self._observer is not None:
            tell(self._observer)

    def _tell_account(self) -> None:
        phone = self._file.phone
        lid = f"{self._lid}@{LID}" if self._lid and phone.number else ""
        self._tell(lambda observer: observer.set_account(phone.number, lid=lid, phone_seen_at=phone.seen_at))

    def _failed(self, reason: PairingFailure, detail: str) -> None:
        self._tell(lambda observer: observer.pairing(PairingFailed(reason=reason, detail=detail)))

    def _decide(self, verdict: _Verdict) -> None:
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(verdict)

    def _round_is_old(self) -> bool:
        return self._code_index > 1 or (
            self._code_index == 1 and _now() - self._round_began > FIRST_CODE - LATER_CODE
        )

    def _refuse_if_linked(self) -> None:
        if self._file.phone.number or self._state in {"connected", "restricted", "deaf"}:
            raise NotPossible("a phone is linked already: log out first")

    def _forget_phone(self) -> None:
        self._file.unlink()
        self._tell_account()

    def _unlock(self) -> None:
        """Show how long WhatsApp restricts the account, and that it does no longer."""
        now = time.time()
        self._locked = {chat: until for chat, until in self._locked.items() if until > now}
        if self._locked and self._state == "connected":
            until = max(self._locked.values())
            self._set("restricted", "WhatsApp lets this number open no conversation now", until=until)
        elif not self._locked and self._state == "restricted":
            self._set("connected")

    def _warn_of_silent_phone(self) -> None:
        """Say so before the phone's two silent weeks are over: WhatsApp drops the link after them."""
        seen_at = self._file.phone.seen_at
        silent = 0.0 if seen_at is None else time.time() - seen_at
        if self._state == "connected" and silent > PHONE_SILENT:
            days = int(silent // 86_400)
            self._set(
                "connected", f"the phone has been silent for {days} days: after 14 WhatsApp drops the link"
            )

    def _explain(self, message: Outbound, error: str) -> None:
        """Raise what an error of neonize's send means, unless it leaves that open."""
        code = calls.refusal(error)
        if code == OUTREACH_LOCKED:
            self._locked[message.chat] = time.time() + LOCK_TIME
            self._unlock()
            raise OutreachLocked(
                "WhatsApp lets this number write to this contact later", retry_after=LOCK_TIME
            )
        if code in calls.REFUSED_FOR_GOOD:
            raise Undeliverable(f"WhatsApp refuses the message: {code}", f"whatsapp-{code}")
        if code or calls.has_not_left(error):
            raise NotSent(error)

    async def _call(self, worker: str, function: Callable[[Any], Any]) -> Any:
        session = self._session
        if session is None:
            raise SessionOver("there is no session")
        return await session.call(worker, function)

    async def _learn_number(self, phone: LinkedPhone) -> None:
        """Asks for the number of the phone that is linked, unless it was unlinked before the answer."""
        device = await self._call("ask", lambda client: client.get_me())
        if self._file.phone is not phone:
            return
        known, self._lid = self._lid, device.LID.User
        if not phone.number:
            self._file.know(device.JID.User)
        elif known == self._lid:
            return
        self._tell_account()

    async def _mark_read(self, chat: str) -> None:
        unread = self._unread.pop(chat, None)
        if not unread:
            return
        with suppress(Exception):  # a nicety: nothing depends on it
            async with asyncio.timeout(self._pace.answer):
                await self._call("ask", lambda client: calls.mark_read(client, list(unread)))


def _round_over() -> _Verdict:
    return _Verdict(
        state="waiting_for_pairing",
        reason="every code of the round has passed",
        wait_for_pair=True,
        round_over=True,
    )


def _lost_while_waiting() -> _Verdict:
    return _Verdict(state="reconnecting", reason="the connection was lost while waiting for a phone")


def _outdated() -> _Verdict:
    return _Verdict(
        state="client_outdated",
        reason="WhatsApp does not take this release's protocol any more: upgrade",
        pause=OUTDATED_PAUSE,
    )


def _nobody(event: InboundEvent) -> None:
    raise UnusableEvent(f"{event.id}: the channel has not been started")


def _now() -> float:
    return asyncio.get_running_loop().time()
