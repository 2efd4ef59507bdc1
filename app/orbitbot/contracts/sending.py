"""Messages that integrators and the client's people send through the bot.

POST /api/clients/{clientId}/messages/send             queue one (202); JSON, or multipart with a `file`
GET  /api/clients/{clientId}/messages/send/{send}      how far it has got
GET  /api/clients/{clientId}/messages/send/{send}/file its file (bots)
"""

from typing import Annotated, Literal

import msgspec

from orbitbot.contracts.commands import SendType

MAX_TEXT = 4000  # characters
MAX_FILE = 16_000_000  # bytes
FILE_TYPES = frozenset({"voice", "audio", "image", "document"})

# `waiting`: the bot has it, and `reason` says what it waits for.
SendState = Literal["queued", "waiting", "sent", "delivered", "read", "failed"]

_Id = Annotated[str, msgspec.Meta(max_length=128)]


class SendRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What to send.

    Attributes:
        to: a phone number with country code, a contact as this API names it (`123@lid`), or a group
            (`…@g.us`).
        type: `read` marks the chat as read, `typing` shows for some seconds that somebody types.
        text: the text; an image's or document's caption; a place's name; a reaction's emoji, empty to take it
            back.
        quote: id of the message that this one replies to.
        target: id of the message that a reaction is to.
        file_name, media_type: of the file, as its recipient sees it. The file itself is the part `file`.
        by: `person`: somebody of the client's writes, so the assistant is silent in this chat for
            `takeoverMinutes`; `system`: a notification, and the assistant goes on.
    """

    to: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    type: SendType = "text"
    text: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] = ""
    quote: _Id = ""
    target: _Id = ""
    file_name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    media_type: Annotated[
        str, msgspec.Meta(pattern=r"^$|^[a-z]+/[A-Za-z0-9.+-]{1,100}(; ?[a-z]+=[a-z0-9]+)?$")
    ] = ""
    latitude: Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)] | None = None
    longitude: Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)] | None = None
    address: Annotated[str, msgspec.Meta(max_length=500)] = ""
    by: Literal["person", "system"] = "person"


class SendView(msgspec.Struct, rename="camel"):
    """A message on its way. Times are RFC 3339.

    Attributes:
        reason: why it waits or failed: `warm_up`, `outreach_locked`, `not_on_whatsapp`, `not_connected`,
            `expired`, `maybe_sent` (the bot stopped while it sent it: it may have arrived and is not
            repeated) …
        message_id: WhatsApp's, once it was sent.
    """

    id: str
    to: str
    type: SendType
    state: SendState
    created_at: str
    expires_at: str
    reason: str = ""
    message_id: str = ""
    sent_at: str | None = None
    delivered_at: str | None = None
    read_at: str | None = None
