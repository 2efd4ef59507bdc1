"""Wires one bot together and runs it until SIGTERM.

Exit status: 0 after SIGTERM, SIGINT or the command to restart; 78 (`EX_CONFIG`) when another host has taken
over, which supervisor is told not to follow by another start; 75 (`EX_TEMPFAIL`) when another process holds
the state directory or the parent has gone; 1 when something broke; 2 (by the command line) when the settings
are wrong. 75 comes within a second, so supervisor sees a start that failed and tries again with growing
pauses: with `startsecs=2` and `startretries=5` it neither hammers nor gives up before a stopping predecessor
is gone.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Literal

from orbitbot.bot.access import AccessTokens
from orbitbot.bot.channels.channel import Channel
from orbitbot.bot.commands import CommandLoop
from orbitbot.bot.delivery import Deliverer
from orbitbot.bot.gateway import POLL_WAIT, GatewayClient
from orbitbot.bot.http import Http
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.bot.media import MediaStore
from orbitbot.bot.media_fetching import MediaFetcher
from orbitbot.bot.notices import Notifier
from orbitbot.bot.pairing import Observing, PairingReporter
from orbitbot.bot.process_guard import AlreadyRunning, hold_lock
from orbitbot.bot.receiving import Receiver
from orbitbot.bot.reports import ReportQueue
from orbitbot.bot.resync import Resync
from orbitbot.bot.sending import Sender
from orbitbot.bot.settings import ProcessSettings, load_process_settings
from orbitbot.bot.sign_of_life import SignOfLife
from orbitbot.bot.turns import TurnTaker
from orbitbot.foundation.errors import SettingsError
from orbitbot.foundation.logs import configure_logging
from orbitbot.foundation.processes import ParentGone, die_with_parent

EXIT_BROKEN: Final = 1
EXIT_SUPERSEDED: Final = os.EX_CONFIG
# A program that ends before supervisor's `startsecs` is started again whatever its exit status is.
LEAST_LIFE: Final = 3.0  # seconds
HOUSEKEEPING_INTERVAL: Final = 3600.0  # seconds
UNREAD_PATIENCE: Final = 3600.0  # seconds that a message's sender has to send it again, readable
KEEP_FINAL: Final = 7 * 86_400.0  # seconds that final turns stay in the journal

log = logging.getLogger(__name__)


def main(settings_path: Path) -> int:
    """Run the bot that `settings_path` describes; returns the exit status."""
    parent = os.getppid()
    os.umask(0o077)
    configure_logging("bot")
    try:
        settings = load_process_settings(settings_path)
        configure_logging(f"bot-{settings.client_id}", settings.log_level)
        if settings.channel == "neonize":
            from orbitbot.bot.channels.neonize_library import ensure_environment  # noqa: PLC0415

            ensure_environment()
        die_with_parent(parent)
        lock = hold_lock(Path(settings.state_directory) / "lock")
    except (AlreadyRunning, ParentGone) as error:
        log.critical("not started: %s", error.detail, extra={"action": "start"})
        return os.EX_TEMPFAIL
    try:
        status = asyncio.run(Bot(settings).run())
        _end_hanging_threads(status)
        return status
    finally:
        os.close(lock)


def _end_hanging_threads(status: int) -> None:
    """Exit at once if a library's thread would keep the process: everything is on disk."""
    hanging = [
        each.name for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()
    ]
    if hanging:
        log.info("threads are left behind", extra={"threads": hanging, "action": "stop"})
        logging.shutdown()
        os._exit(status)


class Bot:
    """All parts of one bot. Make it inside a running event loop's program: `asyncio.run(Bot(…).run())`."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings
        self._state = Path(settings.state_directory)

    async def run(self) -> int:  # noqa: PLR0915  (it wires everything, line by line)
        """Run until SIGTERM, SIGINT or a restart (0), until another host has taken over (78), or until a part
        that runs for ever ends (1)."""
        stop, superseded = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        began = loop.time()
        _stop_by_signal(loop, stop)

        def give_up() -> None:
            superseded.set()
            stop.set()

        settings, ceiling = self._settings, self._settings.retry_ceiling_seconds
        journal = Journal(
            self._state / "journal.db",
            on_trouble=lambda: sign_of_life.send_now(),  # noqa: PLW0108  (made below)
        )
        media = MediaStore(self._state / "media")
        http = Http(settings.gateway_url, read_timeout=settings.request_timeout_seconds)
        channel = make_channel(settings)
        notifier = Notifier(journal, channel)
        gateway = GatewayClient(
            http,
            AccessTokens(http, Path(settings.credential_file), settings.generation),
            media,
            client_id=settings.client_id,
            retry_ceiling=ceiling,
            poll_wait=min(POLL_WAIT, int(settings.request_timeout_seconds / 2)),
            generation=settings.generation,
            on_superseded=give_up,
            on_notice=notifier.tell,
        )
        reports = ReportQueue(journal, gateway, retry_ceiling=ceiling)
        sign_of_life = SignOfLife(
            journal,
            gateway,
            channel=settings.channel,
            generation=settings.generation,
            on_settings=lambda: settings_changed(),  # noqa: PLW0108  (made below)
            retry_ceiling=ceiling,
        )
        deliverer = Deliverer(
            journal,
            channel,
            settings=lambda: sign_of_life.settings,
            on_report=reports.notify,
            retry_ceiling=ceiling,
        )
        turns = TurnTaker(
            journal,
            gateway,
            deliverer,
            settings=lambda: sign_of_life.settings,
            on_report=reports.notify,
            on_media_free=lambda: sweep_media(journal, media),
            on_idle=lambda contact: forget_if_due(journal, media, contact),
            retry_ceiling=ceiling,
        )
        receiver = Receiver(
            journal,
            media,
            settings=lambda: sign_of_life.settings,
            on_pending=turns.notify,
            on_report=reports.notify,
            on_media_wanted=lambda: fetcher.notify(),  # noqa: PLW0108  (made below)
            on_ended=turns.turn_ended,
        )
        fetcher = MediaFetcher(journal, media, channel, on_settled=turns.notify, ceiling=ceiling)

        resync = Resync(journal, gateway, settings=lambda: sign_of_life.settings, retry_ceiling=ceiling)

        sender = Sender(
            journal,
            channel,
            gateway,
            self._state,
            settings=lambda: sign_of_life.settings,
            is_restricted=lambda: sign_of_life.state == "restricted",
            number=lambda: sign_of_life.number,
            on_report=reports.notify,
            on_ended=turns.turn_ended,
            retry_ceiling=ceiling,
        )
        sign_of_life.watch_chats(sender)

        def note_receipt(message_ids: list[str], state: Literal["delivered", "read"]) -> None:
            if journal.note_receipt(message_ids, state):
                reports.notify()

        def settings_changed() -> None:
            sender.look()
            turns.settings_changed()
            resync.settings_changed()

        pairing = PairingReporter(gateway)
        commands = CommandLoop(
            gateway,
            channel,
            on_restart=stop.set,
            on_refresh=sign_of_life.send_now,
            on_forget=lambda contact: forget(journal, media, contact),
            on_send=sender.take,
            retry_ceiling=ceiling,
        )

        await sign_of_life.first_word()
        if superseded.is_set():
            http.close()
            journal.close()
            return await _leave_to_the_other(began)
        endless = [
            _endless("sign of life", sign_of_life.run()),
            _endless("pairing", pairing.run()),
            _endless("commands", commands.run()),
            _endless("reports", reports.run()),
            _endless("resync", resync.run()),
            _endless("voice notes", fetcher.run()),
            _endless("sending", sender.run()),
            _endless("housekeeping", keep_house(journal, media, sign_of_life, reports.notify)),
        ]
        turns.start()
        await channel.start(receiver.receive, Observing(sign_of_life, pairing, note_receipt))
        log.info("bot started", extra={"action": "start", "backlog": journal.backlog()})

        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({stopping, *endless}, return_when=asyncio.FIRST_COMPLETED)
        broken = [task for task in done if task is not stopping]
        for task in broken:
            log.critical("%s ended", task.get_name(), exc_info=task.exception(), extra={"action": "stop"})

        await channel.stop()
        await turns.stop()
        await notifier.stop()
        for task in (stopping, *endless):
            task.cancel()
        await asyncio.gather(stopping, *endless, return_exceptions=True)
        if not superseded.is_set():
            await sign_of_life.last_word()
        http.close()
        journal.close()
        log.info("bot stopped", extra={"action": "stop"})
        if superseded.is_set():
            return await _leave_to_the_other(began)
        return EXIT_BROKEN if broken else 0


def _stop_by_signal(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set `stop`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # The launcher blocks them (see roles/client/files/launch_bot.py); one that came meanwhile comes now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})


async def _leave_to_the_other(began: float) -> int:
    """End for good, late enough for supervisor to take the exit status at its word."""
    log.critical("another host runs this client: this process ends", extra={"action": "superseded"})
    await asyncio.sleep(began + LEAST_LIFE - asyncio.get_running_loop().time())
    return EXIT_SUPERSEDED


def make_channel(settings: ProcessSettings) -> Channel:
    """The channel that the settings name.

    Raises:
        SettingsError: this release has none of that name.
    """
    if settings.channel == "simulator":
        from orbitbot.bot.channels.simulator import SimulatorChannel  # noqa: PLC0415  (others' stay unloaded)

        return SimulatorChannel(Path(settings.state_directory) / "simulator")
    if settings.channel == "neonize":
        from orbitbot.bot.channels.neonize import NeonizeChannel, Pace  # noqa: PLC0415

        pace = Pace(
            probe=settings.probe_seconds,
            answer=settings.probe_answer_seconds,
            connect=settings.connect_patience_seconds,
            look=min(5.0, settings.probe_seconds / 2),
        )
        return NeonizeChannel(Path(settings.state_directory) / "neonize", pace)
    raise SettingsError(
        f"channel: {settings.channel!r} is not in this release; there are: neonize, simulator"
    )


async def keep_house(
    journal: Journal, media: MediaStore, sign_of_life: SignOfLife, on_report: Callable[[], None]
) -> None:
    """Once an hour, remove what became final a week ago and voice notes that nobody needs, and give up what
    could not be read and was not sent again.

    A message stays known at least twice as long as the cut-off: delivered again after that, it is too old.
    """
    while True:
        try:
            keep = max(KEEP_FINAL, 2 * sign_of_life.settings.max_age_seconds)
            journal.trim(time.time() - keep)
            for contact in journal.to_forget():
                journal.forget(contact)
            sweep_media(journal, media)
            if given_up := journal.give_up_unread(time.time() - UNREAD_PATIENCE):
                log.warning("messages were never readable", extra={"messages": given_up, "action": "receive"})
                on_report()
        except JournalUnavailable as error:
            log.critical("journal not trimmed", extra={"reason": error.detail, "action": "housekeeping"})
        await asyncio.sleep(HOUSEKEEPING_INTERVAL)


def forget(journal: Journal, media: MediaStore, contact: str) -> None:
    """Take a contact out of the journal and the media; what is under way, as soon as it is final."""
    journal.forget(contact)
    sweep_media(journal, media)


def forget_if_due(journal: Journal, media: MediaStore, contact: str) -> None:
    """Forget a contact who was to be forgotten while something was under way."""
    if contact in journal.to_forget():
        forget(journal, media, contact)


def sweep_media(journal: Journal, media: MediaStore) -> None:
    """Remove the voice notes of turns that are final."""
    media.sweep(journal.media_in_use())


def _endless(name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(coroutine, name=name)
