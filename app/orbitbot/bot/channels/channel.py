"""What every channel is to the bot."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from orbitbot.bot.models import InboundEvent
from orbitbot.contracts.bot import BotState
from orbitbot.contracts.commands import SendType
from orbitbot.contracts.pairing import PairingEvent
from orbitbot.foundation.errors import OrbitBotError, Unavailable

# Takes an event into the journal, and does nothing else. When it returns, the event is safe and may be
# acknowledged; when it raises, it is not, and the channel offers it again. Called on the event loop's thread.
Receive = Callable[[InboundEvent], None]


# What became of a send that broke off: the contact has it, it never left this host, or nobody can tell.
Fate = Literal["left", "not_left", "unknown"]


class Observer(Protocol):
    """Whom a channel tells how it is. Every call is made on the event loop's thread and returns at once."""

    def set_state(self, state: BotState, reason: str = "", *, until: float | None = None) -> None:
        """The connection's state; `until` is Unix time in seconds (see `BotStatus`)."""
        ...

    def set_account(self, number: str, *, lid: str = "", phone_seen_at: float | None = None) -> None:
        """The linked phone: its number, digits only; its other name (`123@lid`), empty where none is known;
        and the Unix time of its last sign of life."""
        ...

    def pairing(self, event: PairingEvent) -> None:
        """Something happened on the way to a linked phone. The first round begins by itself at `start`."""
        ...

    def receipt(self, message_ids: list[str], state: Literal["delivered", "read"]) -> None:
        """A contact's phone has these messages, or the contact has read them."""
        ...


class NotPossible(OrbitBotError):
    """The channel cannot do what a command asks for; the detail says why."""

    problem = "not-possible"
    title = "The channel cannot do that"


class NotSent(Unavailable):
    """The message certainly did not leave; the same send may be repeated without risk of a double."""

    problem = "not-sent"
    title = "The channel could not take the message for the moment"


class OutreachLocked(NotSent):
    """The network lets the bot's number write to nobody, or not to this contact, for some time."""

    problem = "outreach-locked"
    title = "The network lets this number open no conversation now"


class Undeliverable(OrbitBotError):
    """The network will never take this message, however often it is sent."""

    problem = "undeliverable"
    title = "The channel refuses the message for good"

    def __init__(self, detail: str, reason: str = "undeliverable") -> None:
        super().__init__(detail)
        self.reason = reason


class MediaGone(OrbitBotError):
    """The file will never come, however often it is asked for."""

    problem = "media-gone"
    title = "The voice note is gone"


class MediaUnavailable(Unavailable):
    """The file could not be fetched now; it may come later."""

    problem = "media-unavailable"
    title = "The voice note could not be fetched"


class UnusableEvent(OrbitBotError):
    """An event that can never be journaled, such as a voice note whose file is missing."""

    problem = "unusable-event"
    title = "The event cannot be used"


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way out.

    Attributes:
        send_id: the same for every attempt to send this message.
        type: a `read` or `typing` of `contracts.commands.SendType` is no message.
        text: a file's caption, a place's name, a reaction's emoji (empty: none any more).
        quote: id of the message that it answers, shown quoted where the channel can.
        quoted_sender, quoted_text: of that message, where they are known.
        target: id of the message that a reaction is to; `target_own`: the bot wrote that.
        file: path of the file to send; its recipient sees it as `file_name`.
        part: which of the answer's `parts` messages it is, from 1.
    """

    send_id: str
    chat: str
    text: str
    quote: str | None = None
    part: int = 1
    parts: int = 1
    type: SendType = "text"
    quoted_sender: str = ""
    quoted_text: str = ""
    target: str = ""
    target_own: bool = False
    file: str = ""
    file_name: str = ""
    media_type: str = ""
    latitude: float = 0.0
    longitude: float = 0.0
    address: str = ""


class Channel(Protocol):
    """A way to a client's contacts.

    Attributes:
        idempotent_send: two sends with one `send_id` reach the contact once. Without it, an answer whose
            bot died between send and mark is sent again, and flagged as maybe repeated, where its `fate` is
            unknown.
        acknowledges_early: the network is told that a message arrived before the bot has it: what was not
            journaled when the process ends is not offered again.
    """

    @property
    def idempotent_send(self) -> bool: ...

    @property
    def acknowledges_early(self) -> bool: ...

    async def start(self, receive: Receive, observer: Observer) -> None:
        """Begin to deliver events and to tell about the connection; returns once both are under way."""
        ...

    async def stop(self) -> None:
        """Deliver nothing more. An event not yet taken stays with the channel."""
        ...

    async def send(self, message: Outbound) -> str:
        """Send one message; returns the network's id of it when the channel has it.

        Raises:
            NotSent: it certainly did not leave. After any exception but these two it may have.
            Undeliverable: it did not, and never will.
        """
        ...

    async def fate(self, message: Outbound, since: float) -> Fate:
        """What became of earlier sends of this message that broke off or whose process died in them.

        Args:
            since: Unix time before which none of them can have begun.

        Raises:
            NotSent: it cannot be told now; ask again.
        """
        ...

    async def typing(self, chat: str, *, active: bool) -> None:
        """Show the contact that an answer is being typed, or no longer is. Never raises."""
        ...

    async def mark_read(self, chat: str) -> None:
        """Show the contact that everything they have written is read. Never raises."""
        ...

    async def has_account(self, number: str) -> bool:
        """Whether a phone number (digits) can be written to on this network.

        Raises:
            NotSent: it cannot be found out now.
        """
        ...

    async def fetch_media(self, source: bytes, target: Path) -> None:
        """Write the voice note that `source` (`RemoteMedia.source`) leads to into a file.

        Raises:
            MediaGone: it never comes.
            MediaUnavailable: try again later.
        """
        ...

    async def pair(self) -> None:
        """Begin a new round of codes; does nothing while a round is under way.

        Raises:
            NotPossible: a phone is linked already.
        """
        ...

    async def request_phone_code(self, number: str) -> None:
        """Ask for the code that is typed into the phone with `number` (digits only); it comes by `pairing`.

        Raises:
            NotPossible: a phone is linked already, or the network gives no code for this number.
        """
        ...

    async def log_out(self) -> None:
        """End the link with the phone and forget its session; the state becomes `logged_out`.

        Raises:
            NotPossible: the phone could not be told; the session is as it was.
        """
        ...
