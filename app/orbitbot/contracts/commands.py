"""What a bot is told to do: rows of a durable table, which it streams and acknowledges.

    GET  /api/clients/{clientId}/commands?wait=25&generation=N   what waits for the bot, oldest first
    POST /api/clients/{clientId}/commands/{id}/result            what became of one

A command that was not acknowledged comes again, also to the next process.
"""

from typing import Literal

import msgspec

CommandKind = Literal[
    "pair", "phone_code", "restart", "log_out", "refresh_settings", "forget_contact", "send_message"
]
SendType = Literal["text", "voice", "audio", "image", "document", "location", "reaction", "read", "typing"]
CommandState = Literal["pending", "done", "failed", "expired", "replaced"]


class Pair(msgspec.Struct, rename="camel", frozen=True, tag_field="kind", tag="pair"):
    """Begin a new round of QR codes, unless a phone is linked or a round is under way."""


class PhoneCode(msgspec.Struct, rename="camel", frozen=True, tag_field="kind", tag="phone_code"):
    """Ask WhatsApp for the code that is typed into the phone with this number (digits only)."""

    number: str


class Restart(msgspec.Struct, rename="camel", frozen=True, tag_field="kind", tag="restart"):
    """End the process; its supervisor starts the next one."""


class LogOut(msgspec.Struct, rename="camel", frozen=True, tag_field="kind", tag="log_out"):
    """End the link with the phone and forget the session."""


class RefreshSettings(msgspec.Struct, rename="camel", frozen=True, tag_field="kind", tag="refresh_settings"):
    """Fetch the client's settings now."""


class ForgetContact(msgspec.Struct, rename="camel", frozen=True, tag_field="kind", tag="forget_contact"):
    """Take everything of a contact out of the journal and the media, for good."""

    contact: str


class SendMessage(
    msgspec.Struct, rename="camel", frozen=True, omit_defaults=True, tag_field="kind", tag="send_message"
):
    """Send a message, or show something, in a chat; see `contracts.sending.SendRequest` for the fields.

    Attributes:
        send: the message's id with us; a bot that has sent it does not send it again.
        to: a number in digits, a LID (`…@lid`) or a group (`…@g.us`).
        media_size: of the file, in bytes; it is fetched at `/messages/send/{send}/file`. 0: there is none.
        by_person: the assistant is silent in this chat from now on.
    """

    send: str
    to: str
    type: SendType
    text: str = ""
    quote: str = ""
    target: str = ""
    file_name: str = ""
    media_type: str = ""
    media_size: int = 0
    latitude: float = 0.0
    longitude: float = 0.0
    address: str = ""
    by_person: bool = False


Order = Pair | PhoneCode | Restart | LogOut | RefreshSettings | ForgetContact | SendMessage


class Command(msgspec.Struct, rename="camel"):
    """One command on its way to the bot.

    Attributes:
        id: rises; lower ones are older.
        order: an `Order` as JSON. It is decoded by whoever carries it out, so that a kind that an older bot
            does not know fails alone.
        created_at: Unix time in seconds.
        expires_at: … after which it is not to be carried out any more.
    """

    id: int
    order: msgspec.Raw
    created_at: float
    expires_at: float


class Commands(msgspec.Struct, rename="camel"):
    """What waits for the bot; empty after `wait` seconds without a command."""

    commands: list[Command]


class CommandResult(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The acknowledgement. Repeating it is harmless; the first one counts."""

    state: Literal["done", "failed"]
    detail: str = ""


class CommandView(msgspec.Struct, rename="camel"):
    """A command as whoever gave it sees it. Times are RFC 3339."""

    id: int
    kind: CommandKind
    state: CommandState
    created_at: str
    expires_at: str
    detail: str = ""
    finished_at: str | None = None
