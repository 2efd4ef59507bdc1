"""neonize's messages as the bot's events, and addresses both ways.

A contact is named by the phone number where it is known, else by its LID (`123@lid`): WhatsApp renames people
from the one to the other, and a conversation must not break when it does.
"""

import math
from typing import Any, Final

import msgspec

from orbitbot.bot.models import EventKind, InboundEvent, RemoteMedia
from orbitbot.contracts.messages import MessageType

PHONE: Final = "s.whatsapp.net"
LID: Final = "lid"
_PHONE_SERVERS: Final = frozenset({PHONE, "c.us", "hosted"})
_LID_SERVERS: Final = frozenset({LID, "hosted.lid"})
_BROADCASTS: Final = frozenset({"broadcast", "newsletter"})

# Parts of a message that carry others, or nothing that anybody wrote: by themselves they are no message.
_SILENT_PARTS: Final = frozenset({
    "senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage", "messageContextInfo",
    "protocolMessage", "reactionMessage", "encReactionMessage", "pollUpdateMessage", "keepInChatMessage",
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


def read_message(event: Any, *, paired_at: float = 0.0) -> InboundEvent:
    """A message event of neonize's (`neonize.events.MessageEv`) as the bot's own.

    Args:
        paired_at: Unix time in seconds of the pairing; what was written before it is history.

    Raises:
        Ignored: there is nothing in it to answer or to set aside.
    """
    kind, text, media = _content(event.Message)
    return _event(
        event.Info,
        paired_at=paired_at,
        message_type="voice" if media else "text",
        text=text,
        remote_media=media,
        kind=kind,
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
        chat = _name(source.Chat, None)
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
    )


def _name(address: Any, other: Any) -> str:
    for each in (address, other):
        if each is not None and each.User and each.Server in _PHONE_SERVERS:
            return str(each.User)
    if address.Server in _LID_SERVERS:
        return f"{address.User}@{LID}"
    return f"{address.User}@{address.Server}"


def _content(message: Any) -> tuple[EventKind, str, RemoteMedia | None]:
    """What was written: text, or what a voice note is fetched by."""
    fields = {field.name for field, _ in message.ListFields()}
    if "audioMessage" in fields:
        audio = message.audioMessage
        alone = type(message)(audioMessage=audio)  # what neonize downloads by
        file = RemoteMedia(
            source=alone.SerializeToString(), digest=audio.fileSHA256.hex(), size=audio.fileLength
        )
        return "message", "", file
    text = _text(message)
    if text:
        return "message", text, None
    if not fields - _SILENT_PARTS:
        raise Ignored(", ".join(sorted(fields)) or "empty")
    return "unsupported", "", None


def _text(message: Any) -> str:
    candidates = (
        message.conversation,
        message.extendedTextMessage.text,
        message.imageMessage.caption,
        message.videoMessage.caption,
        message.documentMessage.caption,
        message.buttonsResponseMessage.selectedDisplayText,
        message.templateButtonReplyMessage.selectedDisplayText,
        message.listResponseMessage.title,
    )
    return next((str(each) for each in candidates if each), "")
