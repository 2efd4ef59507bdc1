"""What the bot sends, as the fields of a WhatsApp message (`waE2E.Message`)."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from orbitbot.bot.channels.channel import Outbound
from orbitbot.bot.channels.neonize_events import to_address

# What is uploaded first, and as what (`neonize.utils.enum.MediaType`).
UPLOADS: Final = {
    "voice": "MediaAudio", "audio": "MediaAudio", "image": "MediaImage", "document": "MediaDocument",
}  # fmt: skip
_OPUS: Final = "audio/ogg; codecs=opus"
_OPUS_RATE: Final = 48_000  # samples per second in an Ogg page's position
_LONGEST: Final = 86_400  # seconds; what says that it is longer is no voice note
_PAGE: Final = b"OggS"


def content_of(  # noqa: PLR0911  (one for each type)
    message: Outbound, file: Mapping[str, Any], own: str
) -> dict[str, Any]:
    """The message's fields.

    Args:
        file: what an uploaded file is found by.
        own: the bot's own number.
    """
    context = _context(message, own)
    match message.type:
        case "voice":
            seconds = opus_seconds(Path(message.file).read_bytes())
            return {"audioMessage": {**file, "mimetype": _OPUS, "PTT": True, "seconds": seconds, **context}}
        case "audio":
            return {"audioMessage": {**file, "mimetype": message.media_type, "PTT": False, **context}}
        case "image":
            return {"imageMessage": {**file, "mimetype": message.media_type, **_caption(message), **context}}
        case "document":
            names = {"fileName": message.file_name, "title": message.file_name}
            return {
                "documentMessage": {
                    **file, "mimetype": message.media_type, **names, **_caption(message), **context
                }
            }  # fmt: skip
        case "location":
            place = {"degreesLatitude": message.latitude, "degreesLongitude": message.longitude}
            words = {"name": message.text, "address": message.address}
            return {"locationMessage": {**place, **words, **context}}
        case "reaction":
            key: dict[str, Any] = {
                "remoteJID": _address(message.chat), "fromMe": message.target_own, "ID": message.target
            }  # fmt: skip
            if message.quoted_sender and message.chat.endswith("@g.us"):
                key["participant"] = _address(message.quoted_sender)
            now = int(time.time() * 1000)
            return {"reactionMessage": {"key": key, "text": message.text, "senderTimestampMS": now}}
        case _:
            if context:
                return {"extendedTextMessage": {"text": message.text, **context}}
            return {"conversation": message.text}


def opus_seconds(content: bytes) -> int:
    """The length of an Ogg/Opus file, by the position of its last page; 0 if it is none."""
    last = content.rfind(_PAGE)
    position = int.from_bytes(content[last + 6 : last + 14], "little", signed=True) if last >= 0 else 0
    seconds = round(position / _OPUS_RATE)
    return seconds if 0 <= seconds <= _LONGEST else 0


def _caption(message: Outbound) -> dict[str, str]:
    return {"caption": message.text} if message.text else {}


def _context(message: Outbound, own: str) -> dict[str, Any]:
    """The quoted message, as WhatsApp shows it above the answer."""
    if not message.quote or message.type == "reaction":
        return {}
    sender = message.quoted_sender or own
    context = {
        "stanzaID": message.quote,
        "participant": _address(sender),
        "quotedMessage": {"conversation": message.quoted_text},
    }
    return {"contextInfo": context}


def _address(chat: str) -> str:
    address = to_address(chat)
    return f"{address.user}@{address.server}"
