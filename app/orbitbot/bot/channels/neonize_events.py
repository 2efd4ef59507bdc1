"""neonize's messages as the bot's events, and addresses both ways.

A contact is named by the phone number where it is known, else by its LID (`123@lid`): WhatsApp renames people
from the one to the other, and a conversation must not break when it does.
"""

import math
from typing import Any, Final

import msgspec

from orbitbot.bot.channels.neonize_content import (
    change_of,
    content_of,
    context_of,
    is_own,
    quoted_of,
    text_of,
)
from orbitbot.bot.models import Content, EventKind, InboundEvent, Quoted, RemoteMedia
from orbitbot.contracts.messages import MessageType

PHONE: Final = "s.whatsapp.net"
LID: Final = "lid"
_PHONE_SERVERS: Final = frozenset({PHONE, "c.us", "hosted"})
_LID_SERVERS: Final = frozenset({LID, "hosted.lid"})
_BROADCASTS: Final = frozenset({"broadcast", "newsletter"})

# Parts of a message that carry others, or nothing that anybody wrote: by themselves they are no message.
_SILENT_PARTS: Final = frozenset({
    "senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage", "messageContextInfo",
    "protocolMessage", "encReactionMessage", "pollUpdateMessage", "keepInChatMessage",
    "pinInChatMessage", "placeholderMessage", "stickerSyncRmrMessage", "secretEncryptedMessage",
    "scheduledCallEditMessage", "statusMentionMessage", "groupStatusMentionMessage", "albumMessage",
    "messageHistoryBundle", "messageHistoryNotice", "groupRootKeyShare", "rootSecretDistributeMessage",
    "encEventResponseMessage", "encCommentMessage", "deviceSentMessage", "editedMessage",
})  # fmt: skip


class Ignored(Exception):
    """The event holds nothing that anybody wrote to the bot."""


class Remote(msgspec.Struct, frozen=True):
    """Where a message of the bot's goes, or one to it came from: user and server of a WhatsApp address."""

    user: str
    server: str


def to_address(chat: str) -> Remote:
    """The address of a chat as `InboundEvent.chat` names it."""
    user, _, server = chat.partition("@")
    return Remote(user, server or PHONE)


def read_message(event: Any, *, paired_at: float = 0.0, own: frozenset[str] = frozenset()) -> InboundEvent:
    """A message event of neonize's (`neonize.events.MessageEv`) as the bot's own.

    Args:
        paired_at: Unix time in seconds of the pairing; what was written before it is history.
        own: the bot's own number and LID.

    Raises:
        Ignored: there is nothing in it to answer or to set aside.
    """
    message = event.Message
    if (change := change_of(message)) is not None:
        if event.Info.MessageSource.IsFromMe:
            raise Ignored("the bot's own number has changed a message")
        target, text = change
        kind: EventKind = "edit" if text else "deletion"
        return _event(
            event.Info, paired_at=paired_at, message_type="text", kind=kind, text=text, target=target
        )
    kind, text, content, media = _content(message)
    if content is not None and content.kind == "reaction" and event.Info.MessageSource.IsFromMe:
        raise Ignored("the bot's own number has reacted")
    context = context_of(message)
    mentioned = context is not None and any(is_own(each, own) for each in context.mentionedJID)
    quoted = quoted_of(message, own)
    return _event(
        event.Info,
        paired_at=paired_at,
        message_type="voice" if media else "text",
        text=text,
        remote_media=media,
        kind=kind,
        content=content,
        quoted=quoted,
        addressed=mentioned or (quoted is not None and quoted.own),
    )


def read_undecryptable(event: Any) -> InboundEvent:
    """A message that could not be read (`neonize.events.UndecryptableMessageEv`): who wrote it, and when."""
    return _event(event.Info, paired_at=0.0, message_type="text", kind="undecryptable")


def read_poison(event: Any) -> InboundEvent:
    """What is left of a message whose content cannot be handled: who wrote it, and when."""
    return _event(event.Info, paired_at=0.0, message_type="text", kind="unsupported")


def _event(
    info: Any,
    *,
    paired_at: float,
    message_type: MessageType,
    kind: EventKind,
    text: str = "",
    remote_media: RemoteMedia | None = None,
    target: str = "",
    content: Content | None = None,
    quoted: Quoted | None = None,
    addressed: bool = False,
) -> InboundEvent:
    source = info.MessageSource
    sent_at = info.Timestamp / 1000
    sender = _name(source.Sender, source.SenderAlt)
    group = source.Chat.Server == "g.us"
    if source.IsFromMe:
        kind = "own"
    elif source.Chat.Server in _BROADCASTS:
        kind = "status"
    elif sent_at < math.floor(paired_at):  # WhatsApp's times are whole seconds
        kind = "history"
    if source.Chat.Server in _PHONE_SERVERS | _LID_SERVERS and not source.IsFromMe:
        chat = sender
    else:
        chat = _name(source.Chat, source.RecipientAlt if source.IsFromMe else None)
    return InboundEvent(
        id=info.ID,
        chat=chat,
        sender=sender,
        type=message_type,
        sent_at=sent_at,
        text=text,
        remote_media=remote_media,
        group=group,
        kind=kind,
        target=target,
        alias=_alias(source),
        content=content,
        quoted=quoted,
        addressed=addressed and group,
    )


def _alias(source: Any) -> str:
    """The sender's LID where the number is known beside it."""
    both = (source.Sender, source.SenderAlt)
    lid = next((each for each in both if each.User and each.Server in _LID_SERVERS), None)
    known = any(each.User and each.Server in _PHONE_SERVERS for each in both)
    return f"{lid.User}@{LID}" if lid is not None and known and not source.IsFromMe else ""


def _name(address: Any, other: Any) -> str:
    for each in (address, other):
        if each is not None and each.User and each.Server in _PHONE_SERVERS:
            return str(each.User)
    if address.Server in _LID_SERVERS:
        return f"{address.User}@{LID}"
    return f"{address.User}@{address.Server}"


def _content(message: Any) -> tuple[EventKind, str, Content | None, RemoteMedia | None]:
    """What was written, what it holds beside that, and what a voice note is fetched by."""
    fields = {field.name for field, _ in message.ListFields()}
    if "audioMessage" in fields:
        audio = message.audioMessage
        alone = type(message)(audioMessage=audio)  # what neonize downloads by
        file = RemoteMedia(
            source=alone.SerializeToString(), digest=audio.fileSHA256.hex(), size=audio.fileLength
        )
        return "message", "", None if audio.PTT else Content(kind="audio"), file
    text, content = text_of(message), content_of(message)
    if text or content is not None:
        return "message", text, content, None
    if not fields - _SILENT_PARTS:
        raise Ignored(", ".join(sorted(fields)) or "empty")
    return "unsupported", "", None, None
