"""The simulator channel: a directory instead of a telephone network.

    <state>/simulator/inbox/            messages for the bot: JSON (`SimulatorMessage`), renamed into place
    <state>/simulator/inbox/rejected/   what could not be read
    <state>/simulator/media/            voice notes that messages in the inbox name
    <state>/simulator/outbox/           what the bot sent: `<send id>.json` (`SimulatorSent`)

`channels.simulator_account` has the telephone that is linked, or waits to be.

`channels.simulator_phone` is the contact's side.
"""

import asyncio
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.bot.backoff import Backoff
from orbitbot.bot.channels.channel import (
    Fate,
    MediaGone,
    NotSent,
    Observer,
    Outbound,
    Receive,
    UnusableEvent,
)
from orbitbot.bot.channels.inotify import DirectoryWatch
from orbitbot.bot.channels.simulator_account import SimulatorTelephone
from orbitbot.bot.files import open_regular, sync_directory
from orbitbot.bot.journal import JournalUnavailable
from orbitbot.bot.models import Content, EventKind, InboundEvent, Quoted
from orbitbot.contracts.commands import SendType
from orbitbot.contracts.messages import MessageType

MAX_FILE: Final = 1_000_000  # bytes of one inbox file
OUTBOX_AGE: Final = 7 * 86_400.0  # seconds after which a sent message is removed, at the next start

log = logging.getLogger(__name__)


class SimulatorMessage(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A file in the inbox.

    Attributes:
        chat: where the answer goes; empty: to `from`.
        sent_at: Unix time in seconds.
        media: name of a file in `media/`, for a voice note.
    """

    id: str
    from_: str = msgspec.field(name="from")
    type: MessageType
    sent_at: float
    chat: str = ""
    text: str = ""
    media: str = ""
    group: bool = False
    kind: EventKind = "message"
    target: str = ""
    alias: str = ""
    content: Content | None = None
    quoted: Quoted | None = None
    addressed: bool = False


class SimulatorSent(msgspec.Struct, rename="camel", kw_only=True):
    """A file in the outbox; `part` of `parts` is which message of one answer it is.

    Attributes:
        file: name of a file in the outbox.
    """

    id: str
    to: str
    text: str
    sent_at: float
    part: int
    parts: int
    quote: str | None = None
    type: SendType = "text"
    target: str = ""
    file: str = ""
    file_name: str = ""
    media_type: str = ""
    latitude: float = 0.0
    longitude: float = 0.0
    address: str = ""


class SimulatorChannel:
    """The bot's side of the directory."""

    idempotent_send = True
    acknowledges_early = False

    def __init__(self, directory: Path) -> None:
        self._inbox = directory / "inbox"
        self._rejected = self._inbox / "rejected"
        self._media = directory / "media"
        self._outbox = directory / "outbox"
        for each in (directory, self._inbox, self._rejected, self._media, self._outbox):
            each.mkdir(mode=0o700, exist_ok=True)
        self._arrived = asyncio.Event()
        self._watch: DirectoryWatch | None = None
        self._pump: asyncio.Task[None] | None = None
        self._telephone = SimulatorTelephone(directory)

    async def start(self, receive: Receive, observer: Observer) -> None:
        """Begin to take messages from the inbox, those that wait there first."""
        self._trim_outbox()
        self._watch = DirectoryWatch(self._inbox, self._arrived.set)
        self._arrived.set()
        self._pump = asyncio.create_task(self._take_messages(receive), name="simulator inbox")
        self._telephone.start(observer)

    async def stop(self) -> None:
        """Take nothing more."""
        await self._telephone.stop()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None

    async def send(self, message: Outbound) -> str:
        """Put a message into the outbox; returns its id. A second one with the same id changes nothing.

        Raises:
            NotSent: no phone is linked, or the file could not be written.
        """
        if self._telephone.refuses:
            raise NotSent("no phone is linked")
        final = self._outbox / f"{message.send_id}.json"
        temporary = self._outbox / f".{message.send_id}.tmp"
        sent = SimulatorSent(
            id=message.send_id,
            to=message.chat,
            text=message.text,
            sent_at=time.time(),
            part=message.part,
            parts=message.parts,
            quote=message.quote,
            type=message.type,
            target=message.target,
            file=f"{message.send_id}.file" if message.file else "",
            file_name=message.file_name,
            media_type=message.media_type,
            latitude=message.latitude,
            longitude=message.longitude,
            address=message.address,
        )
        try:
            if not final.exists():
                if message.file:
                    shutil.copyfile(message.file, self._outbox / sent.file)
                _write_durably(temporary, msgspec.json.encode(sent))
                temporary.rename(final)
                sync_directory(self._outbox)
        except OSError as error:
            raise NotSent(f"the outbox cannot be written: {error.strerror}") from error
        return message.send_id

    async def fate(self, message: Outbound, since: float) -> Fate:  # noqa: ARG002  (a channel's signature)
        """Whether it is in the outbox."""
        return "left" if (self._outbox / f"{message.send_id}.json").exists() else "not_left"

    async def typing(self, chat: str, *, active: bool) -> None:
        """Nobody looks."""

    async def mark_read(self, chat: str) -> None:
        """Nobody looks."""

    async def has_account(self, number: str) -> bool:
        """Every number but those that the account file names."""
        return self._telephone.has_account(number)

    async def fetch_media(self, source: bytes, target: Path) -> None:  # noqa: ARG002  (a channel's signature)
        """A voice note comes with its message.

        Raises:
            MediaGone: always.
        """
        raise MediaGone("the simulator's voice notes come with their messages")

    async def pair(self) -> None:
        """Begin a new round of codes.

        Raises:
            NotPossible: the phone is linked.
        """
        await self._telephone.pair()

    async def request_phone_code(self, number: str) -> None:
        """Show a code to type.

        Raises:
            NotPossible: the phone is linked, or its number gets no code.
        """
        await self._telephone.request_phone_code(number)

    async def log_out(self) -> None:
        """End the link with the phone.

        Raises:
            NotPossible: there is none.
        """
        await self._telephone.log_out()

    async def _take_messages(self, receive: Receive) -> None:
        backoff = Backoff()
        while True:
            await self._telephone.linked.wait()
            await self._arrived.wait()
            self._arrived.clear()
            if await self._take_all(receive):
                backoff.reset()
            else:  # the journal or the disk is in trouble: the messages stay where they are
                await asyncio.sleep(backoff.next())
                self._arrived.set()

    async def _take_all(self, receive: Receive) -> bool:
        """Take every file in the inbox, in order of its name; False if one could not be taken now."""
        complete = True
        for path in sorted(self._inbox.glob("[!.]*.json")):
            try:
                self._take(path, receive)
            except (JournalUnavailable, OSError) as error:
                log.critical(
                    "message not taken", extra={"file": path.name, "reason": str(error), "action": "inbox"}
                )
                return False
            except Exception:  # a mistake of ours with one message must not make the bot deaf to the others
                log.exception("message not taken", extra={"file": path.name, "action": "inbox"})
                complete = False
            await asyncio.sleep(0)  # a full inbox must not keep the turns waiting
        return complete

    def _take(self, path: Path, receive: Receive) -> None:
        try:
            event = self._event(_read_file(path))
            receive(event)
        except UnusableEvent as error:
            log.warning(
                "message rejected", extra={"file": path.name, "reason": str(error), "action": "inbox"}
            )
            path.rename(self._rejected / path.name)
            return
        # Only now that the journal has it. The voice note goes first: a message that is delivered again
        # after a crash between the two needs no file any more.
        if event.media is not None:
            event.media.unlink(missing_ok=True)
        path.unlink()

    def _event(self, content: bytes) -> InboundEvent:
        try:
            message = msgspec.json.decode(content, type=SimulatorMessage)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnusableEvent(str(error)) from error
        if message.media and Path(message.media).name != message.media:
            raise UnusableEvent("media: only a file's name, without a path")
        return InboundEvent(
            id=message.id,
            chat=message.chat or message.from_,
            sender=message.from_,
            type=message.type,
            sent_at=message.sent_at,
            text=message.text,
            media=self._media / message.media if message.media else None,
            group=message.group,
            kind=message.kind,
            target=message.target,
            alias=message.alias,
            content=message.content,
            quoted=message.quoted,
            addressed=message.addressed,
        )

    def _trim_outbox(self) -> None:
        oldest = time.time() - OUTBOX_AGE
        for path in self._outbox.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


def _read_file(path: Path) -> bytes:
    with open_regular(path) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise UnusableEvent(f"{path.name} is longer than {MAX_FILE} bytes")
    return content


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
