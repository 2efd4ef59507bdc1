"""One connection of neonize's, from `connect()` to its end, and the threads around it.

neonize's Go library holds its clients in maps that are not safe to change while another thread reads them:
one session at a time, no call before its first sign of life, none while it is being stopped.
"""

import asyncio
import ctypes
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.channels import neonize_library
from orbitbot.bot.channels.neonize_events import LID
from orbitbot.bot.journal import JournalUnavailable

ATTEMPTS: Final = 3  # at one event, before it is poison
LONGEST_PAUSE: Final = 5.0  # seconds between attempts
STOP_TIMEOUT: Final = 1.2  # seconds; the bot has to be gone within 2
_SETTLE: Final = 0.05  # seconds that a call needs to find its client in the Go library's map

_NUMBERS: Final = itertools.count(1)  # a session's name in the library, never used again

T = TypeVar("T")

log = logging.getLogger(__name__)


class SessionOver(Exception):
    """The session takes no calls: it has not begun, or has ended."""


class Session:
    """One client on one session file.

    Callbacks come on the event loop's thread, one after another and in order, each awaited by the library's
    thread: while one is under way, the next event waits in Go. One that raises JournalUnavailable is called
    again until it does not.

    Args:
        on_event: gets neonize's event object; events come only once a phone is linked.
        on_code: gets the text of a QR code.
        on_login: gets the word with which the pairing ended (`success`, `timeout`, `err-…`), or
            `passkey-request` while it waits.
        on_end: told when `connect()` has returned, with the reason if it failed.
        on_poison: gets an event that `on_event` could not take in several attempts.
    """

    def __init__(
        self,
        database: Path,
        *,
        on_event: Callable[[Any], None],
        on_code: Callable[[str], None],
        on_login: Callable[[str], None],
        on_end: Callable[[str], None],
        on_poison: Callable[[Any], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._database = database
        self._on_event, self._on_code, self._on_login = on_event, on_code, on_login
        self._on_end, self._on_poison = on_end, on_poison
        self._alive = threading.Event()
        self._close_requested = threading.Event()
        self._closing = False
        self._last_call = 0.0
        self._ended = asyncio.Event()
        self._client: Any = None
        self._workers = {name: _Worker(name, self._loop) for name in ("send", "ask", "fetch")}
        self._thread = threading.Thread(target=self._connect, name="neonize", daemon=True)

    def start(self) -> None:
        """Connect, in a thread of its own; returns at once."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it has given a sign of life, and is not being stopped."""
        return self._alive.is_set() and not self._closing

    async def call(self, worker: str, function: Callable[[Any], T]) -> T:
        """Call the client on one of the worker threads: `send`, `ask` or `fetch`, each one call at a time.

        Raises:
            SessionOver: there is no client to call.
        """
        if not self.is_alive:
            raise SessionOver("the session takes no calls")

        def calling() -> T:
            if not self.is_alive:
                raise SessionOver("the session has ended")
            self._last_call = time.monotonic()
            return function(self._client)

        return await self._workers[worker].run(calling)

    async def stop(self, timeout: float = STOP_TIMEOUT) -> bool:  # noqa: ASYNC109  (it must not raise)
        """End it; True once `connect()` has returned, False if it did not in time."""
        self._close()
        for worker in self._workers.values():
            worker.close()
        if self._thread.is_alive():
            since_call = time.monotonic() - self._last_call
            await asyncio.sleep(max(0.0, _SETTLE - since_call))
            threading.Thread(target=self._stop_client, name="neonize stop", daemon=True).start()
            try:
                async with asyncio.timeout(timeout):
                    await self._ended.wait()
            except TimeoutError:
                return False
        return True

    def _connect(self) -> None:
        reason = ""
        try:
            module = neonize_library.load()
            self._client = self._make_client(module)
            self._client.connect()
        except Exception as error:  # noqa: BLE001  (whatever the library raises ends this session only)
            reason = f"{type(error).__name__}: {error}"
        self._from_thread(self._finish, reason)

    def _make_client(self, module: Any) -> Any:
        from neonize import events  # noqa: PLC0415  (heavy: loaded by `load` and not before)

        session = self

        class Client(module.NewClient):  # type: ignore[misc]
            """neonize's client; tells how the pairing ended instead of printing an address."""

            def _NewClient__onLoginStatus(self, uuid: int, status: int) -> None:  # noqa: N802, ARG002
                word = ctypes.string_at(status).decode("utf-8", "replace")
                session.deliver(session._on_login, word)

        client = Client(
            str(self._database),
            props=module.DeviceProps(os="OrbitBot", platformType=module.DeviceProps.CHROME),
            uuid=f"bot-{next(_NUMBERS)}",
        )
        client.qr(lambda _, code: self.deliver(self._on_code, code.decode()))
        for kind in (
            events.PairStatusEv,
            events.ConnectedEv,
            events.KeepAliveTimeoutEv,
            events.KeepAliveRestoredEv,
            events.LoggedOutEv,
            events.StreamReplacedEv,
            events.TemporaryBanEv,
            events.ConnectFailureEv,
            events.ClientOutdatedEv,
            events.StreamErrorEv,
            events.DisconnectedEv,
            events.MessageEv,
            events.ReceiptEv,
            events.UndecryptableMessageEv,
        ):
            client.event(kind)(self._take_event)
        return client

    def _take_event(self, client: Any, event: Any) -> None:
        if not self._closing and type(event).__name__ in {"Message", "UndecryptableMessage"}:
            _add_number(client, event.Info.MessageSource)
        self.deliver(self._on_event, event)

    def deliver(self, callback: Callable[[Any], None], value: Any) -> None:
        """Hand something to the event loop and wait until it is taken. Called on the library's threads."""
        self._alive.set()
        if self._closing:
            return
        pauses, mistakes = Backoff(LONGEST_PAUSE), 0
        while not self._closing:
            outcome = self._hand_over(callback, value)
            if outcome == "taken":
                return
            if outcome == "mistake":
                mistakes += 1
                if mistakes == ATTEMPTS:  # it must not hold up the others for ever
                    log.critical("an event is given up", extra={"action": "receive"})
                    self._hand_over(self._on_poison, value)
                    return
            self._close_requested.wait(pauses.next())

    def _hand_over(self, callback: Callable[[Any], None], value: Any) -> Literal["taken", "again", "mistake"]:
        """Call back on the event loop, once; returns when it has."""
        outcome: list[Literal["taken", "again", "mistake"]] = []
        done = threading.Event()

        def take() -> None:
            try:
                callback(value)
            except JournalUnavailable as error:
                log.critical("message not taken", extra={"reason": error.detail, "action": "receive"})
                outcome.append("again")
            except Exception:  # a mistake of ours with one event must not make the bot deaf
                log.exception("message not taken", extra={"action": "receive"})
                outcome.append("mistake")
            else:
                outcome.append("taken")
            finally:
                done.set()

        if not self._from_thread(take):
            return "taken"
        while not done.wait(1.0):
            if self._loop.is_closed():
                return "taken"
        return outcome[0]

    def _from_thread(self, function: Callable[..., None], *arguments: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: the process is ending
            return False
        return True

    def _finish(self, reason: str) -> None:
        self._ended.set()
        if not self._closing:
            self._close()
            self._on_end(reason)

    def _close(self) -> None:
        self._closing = True
        self._close_requested.set()

    def _stop_client(self) -> None:
        if self._client is not None:
            self._client.stop()


def _add_number(client: Any, source: Any) -> None:
    """Where a sender is named by LID alone, add the phone number if the session knows it."""
    if source.Sender.Server == LID and not source.SenderAlt.User:
        try:
            number = client.get_pn_from_lid(source.Sender)
        except Exception:  # noqa: BLE001  (it does not know it: neonize raises an error of its own)
            return
        if number.User:
            source.SenderAlt.CopyFrom(number)


class _Worker:
    """A thread that calls one function after another. It is a daemon: a call that hangs holds up no exit."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._name = name
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"neonize {self._name}", daemon=True)
            self._thread.start()
        future: asyncio.Future[T] = self._loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # a result where there is no error

        def work() -> None:
            result, failure = None, None
            try:
                result = function()
            except Exception as error:  # noqa: BLE001  (it is the caller's)
                failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(settle, result, failure)

        self._queue.put(work)
        return await future

    def close(self) -> None:
        """Call nothing more after what is queued."""
        self._queue.put(None)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
