"""What the rooms of the bot hand to each other: events, journaled messages, turns and parts."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from orbitbot.contracts.messages import MessageType

EventKind = Literal["message", "status", "own", "history", "unsupported", "undecryptable", "edit", "deletion"]
ContentKind = Literal[
    "image", "video", "audio", "document", "location", "contact", "sticker", "reaction", "poll"
]

# A journaled turn is `fixed` until the gateway has answered it, and `answered` until its first part is
# on its way. The last three are final.
JournalTurnState = Literal["fixed", "answered", "delivering", "delivered", "silenced", "failed"]
PartState = Literal["pending", "sending", "sent"]

# An id becomes a form field's name and a file's name: visible ASCII without the path separator.
ChannelId = Annotated[str, msgspec.Meta(pattern=r"^[!-.0-~]{1,128}\Z")]


class RemoteMedia(msgspec.Struct, frozen=True, kw_only=True):
    """A voice note that still has to be fetched.

    Attributes:
        source: what the channel fetches it by; nobody else understands it.
        digest: SHA-256 of the file (hexadecimal) as its sender says.
        size: in bytes, as its sender says.
    """

    source: bytes
    digest: str
    size: int


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a message holds beside its text, or instead of one.

    Attributes:
        name: of a document's file, a place, a contact; a poll's question; a reaction's emoji.
        detail: a file's MIME type, a place's address, a contact's number, a poll's options.
        position: latitude and longitude of a place.
    """

    kind: ContentKind
    name: str = ""
    detail: str = ""
    position: tuple[float, float] | None = None


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """The message that another one replies or reacts to; `own`: the bot's number wrote it."""

    id: str
    text: str = ""
    own: bool = False


class InboundEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the channel delivered it, before anything was decided about it.

    Attributes:
        id: the channel's message id; the same message delivered again has the same one.
        chat: where an answer goes.
        sender: who wrote it.
        sent_at: Unix time in seconds by the channel's clock.
        media: a file with the voice note; the journal copies it, the channel may then remove it.
        remote_media: instead of `media`: the voice note is fetched once the message is journaled.
        kind: `status` for a status broadcast, `own` for what this bot's own number sent, `history` for what
            was written before the phone was linked, `unsupported` for a kind of message that nobody reads,
            `undecryptable` for one that could not be read: the same message may yet come readable;
            `edit` and `deletion` change the message `target`, whose text is now `text`.
        alias: the sender's LID, where both that and the number are known.
        content: what it holds beside the text.
        quoted: what it replies to.
        addressed: in a group: it mentions the bot's number, or replies to a message of the bot's.
    """

    id: str
    chat: str
    sender: str
    type: MessageType
    sent_at: float
    text: str = ""
    media: Path | None = None
    remote_media: RemoteMedia | None = None
    group: bool = False
    kind: EventKind = "message"
    target: str = ""
    alias: str = ""
    content: Content | None = None
    quoted: Quoted | None = None
    addressed: bool = False

    @property
    def contact(self) -> str:
        """Whose conversation it belongs to: the sender's, or the group's."""
        return self.chat if self.group else self.sender


class StoredMedia(msgspec.Struct, frozen=True):
    """A voice note in the media folder: its SHA-256 (hexadecimal) and its size in bytes."""

    digest: str
    size: int


class JournaledMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is safe in the journal. Times are Unix seconds.

    Attributes:
        media: None for a text, and for a voice note that is not there (yet).
        awaits_media: it is being fetched. Otherwise a voice note without one was too large, empty or gone.
    """

    id: str
    chat: str
    contact: str
    group: bool
    type: MessageType
    text: str
    media: StoredMedia | None
    sent_at: float
    journaled_at: float
    awaits_media: bool = False


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A contact's burst, fixed in the journal. `id` is random and never changes.

    Attributes:
        replaces: turns that its members were in before one of them was edited or deleted.
    """

    id: str
    contact: str
    chat: str
    group: bool
    state: JournalTurnState
    members: tuple[JournaledMessage, ...]
    replaces: tuple[str, ...] = ()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One message of an answer; `position` counts from 1."""

    position: int
    send_id: str
    text: str
    state: PartState


class QueuedReport(msgspec.Struct, frozen=True):
    """A report that the gateway has not accepted yet; `body` is its JSON."""

    seq: int
    body: bytes
