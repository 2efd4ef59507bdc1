"""Messages of every kind as protobuf, for `Script.say_raw`. Numbers of fields: `waE2E.Message`."""

from tests.whatsapp.post import (
    CONTACT,
    DOCUMENT,
    EXTENDED_TEXT,
    LOCATION,
    PROTOCOL,
    REACTION,
    STICKER,
    VIDEO,
)
from tests.whatsapp.protobuf import encode

_REVOKE, _EDIT = 0, 14
_EDITED = 58
_POLL = 64


def reply(text: str, message_id: str, participant: str, quoted: str) -> bytes:
    """A text that replies to a message."""
    context = encode((1, message_id), (2, participant), (3, encode((1, quoted))))
    return encode((EXTENDED_TEXT, encode((1, text), (17, context))))


def mention(text: str, *addresses: str) -> bytes:
    """A text that mentions people."""
    context = encode(*((15, each) for each in addresses))
    return encode((EXTENDED_TEXT, encode((1, text), (17, context))))


def place(latitude: float, longitude: float, name: str = "", address: str = "") -> bytes:
    """A place."""
    return encode((LOCATION, encode((1, latitude), (2, longitude), (3, name or None), (4, address or None))))


def card(name: str, number: str) -> bytes:
    """A contact of the sender's."""
    vcard = f"BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;waid={number}:+{number}\nEND:VCARD"
    return encode((CONTACT, encode((1, name), (16, vcard))))


def document(file_name: str, media_type: str, caption: str = "") -> bytes:
    """A document, of which nobody fetches the file."""
    return encode((DOCUMENT, encode((2, media_type), (8, file_name), (20, caption or None))))


def video(caption: str = "") -> bytes:
    """A video, of which nobody fetches the file."""
    return encode((VIDEO, encode((2, "video/mp4"), (5, 12), (7, caption or None))))


def sticker() -> bytes:
    """A sticker, of which nobody fetches the file."""
    return encode((STICKER, encode((5, "image/webp"))))


def reaction(emoji: str, message_id: str, chat: str, *, own: bool) -> bytes:
    """A reaction; `own`: to a message of the reacting person's own."""
    return encode((REACTION, encode((1, encode((1, chat), (2, int(own)), (3, message_id))), (2, emoji))))


def poll(question: str, *options: str) -> bytes:
    """A poll."""
    return encode((_POLL, encode((2, question), *((3, encode((1, each))) for each in options))))


def edit(message_id: str, chat: str, text: str, *, wrapped: bool = True) -> bytes:
    """An earlier message with another text, as phones send it or (not wrapped) as older ones did."""
    key = encode((1, chat), (2, 1), (3, message_id))
    protocol = encode((PROTOCOL, encode((1, key), (2, _EDIT), (14, encode((1, text))))))
    return encode((_EDITED, encode((1, protocol)))) if wrapped else protocol


def deletion(message_id: str, chat: str) -> bytes:
    """An earlier message, taken back."""
    key = encode((1, chat), (2, 1), (3, message_id))
    return encode((PROTOCOL, encode((1, key), (2, _REVOKE))))
