"""What stands in a WhatsApp message (`waE2E.Message`): text, files, places, reactions, edits."""

import re
from typing import Any, Final

from orbitbot.bot.models import Content, Quoted

_REVOKE: Final = 0  # `ProtocolMessage.Type`
_EDIT: Final = 14
_FILES: Final = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "stickerMessage": "sticker",
}
_POLLS: Final = ("pollCreationMessage", "pollCreationMessageV2", "pollCreationMessageV3")
_WRAPPERS: Final = ("documentWithCaptionMessage", "ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2")
_WHATSAPP_NUMBER: Final = re.compile(r"waid=(\d+)")
_NUMBER: Final = re.compile(r"TEL[^:\n]*:([+\d ().-]+)")


def unwrapped(message: Any) -> Any:
    """The message inside those that only hold another."""
    for name in _WRAPPERS:
        if message.HasField(name):
            return unwrapped(getattr(message, name).message)
    return message


def change_of(message: Any) -> tuple[str, str] | None:
    """Of an edit or deletion: which message, and its new text (empty: deleted); None of anything else."""
    if message.HasField("editedMessage"):
        message = message.editedMessage.message
    if not message.HasField("protocolMessage"):
        return None
    protocol = message.protocolMessage
    if not protocol.HasField("type") or not protocol.key.ID:
        return None
    if protocol.type == _REVOKE:
        return protocol.key.ID, ""
    text = text_of(protocol.editedMessage) if protocol.type == _EDIT else ""
    return (protocol.key.ID, text) if text else None


def text_of(message: Any) -> str:
    """The words in it, wherever they stand."""
    message = unwrapped(message)
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


def content_of(message: Any) -> Content | None:  # noqa: PLR0911  (one for each kind)
    """What it holds beside words."""
    message = unwrapped(message)
    for name, kind in _FILES.items():
        if message.HasField(name):
            return Content(kind=kind)  # type: ignore[arg-type]  # the values of a constant
    if message.HasField("documentMessage"):
        document = message.documentMessage
        return Content(kind="document", name=document.fileName or document.title, detail=document.mimetype)
    for place in (message.locationMessage, message.liveLocationMessage):
        if place.ListFields():
            position = (place.degreesLatitude, place.degreesLongitude)
            name, address = getattr(place, "name", ""), getattr(place, "address", "")
            return Content(kind="location", name=name, detail=address, position=position)
    contacts = [*message.contactsArrayMessage.contacts]
    if message.HasField("contactMessage"):
        contacts.append(message.contactMessage)
    if contacts:
        names = ", ".join(each.displayName for each in contacts if each.displayName)
        numbers = ", ".join(filter(None, (_number(each.vcard) for each in contacts)))
        return Content(kind="contact", name=names, detail=numbers)
    for name in _POLLS:
        if message.HasField(name):
            poll = getattr(message, name)
            return Content(
                kind="poll", name=poll.name, detail=" / ".join(each.optionName for each in poll.options)
            )
    if message.HasField("reactionMessage"):
        return Content(kind="reaction", name=message.reactionMessage.text)
    return None


def context_of(message: Any) -> Any:
    """The `ContextInfo`: what is mentioned and quoted; None where there is none."""
    for _, part in unwrapped(message).ListFields():
        if hasattr(part, "contextInfo") and part.HasField("contextInfo"):
            return part.contextInfo
    return None


def quoted_of(message: Any, own: frozenset[str]) -> Quoted | None:
    """The message that it replies or reacts to."""
    if message.HasField("reactionMessage"):
        key = message.reactionMessage.key
        return Quoted(id=key.ID, own=not key.fromMe and (not key.participant or is_own(key.participant, own)))
    context = context_of(message)
    if context is None or not context.stanzaID:
        return None
    quoted = context.quotedMessage
    held = content_of(quoted)
    text = text_of(quoted) or (held.name if held is not None else "")
    return Quoted(id=context.stanzaID, text=text, own=is_own(context.participant, own))


def is_own(address: str, own: frozenset[str]) -> bool:
    """Whether an address, such as `5511…:3@s.whatsapp.net`, is the bot's own number or LID."""
    return address.partition("@")[0].partition(":")[0] in own


def _number(vcard: str) -> str:
    found = _WHATSAPP_NUMBER.search(vcard) or _NUMBER.search(vcard)
    return " ".join(found[1].split()) if found else ""
