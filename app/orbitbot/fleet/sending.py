"""Messages that the API sends: checked, kept, and given to the bot as commands."""

import hashlib
import uuid
from typing import Final

import msgspec

from orbitbot.clients import store as clients_store
from orbitbot.contracts.commands import SendMessage
from orbitbot.contracts.sending import FILE_TYPES, MAX_FILE, SendRequest, SendView
from orbitbot.conversations import changes, sends
from orbitbot.fleet import store
from orbitbot.fleet.commands import MAX_KEY
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import Conflict, InvalidInput, NotFound, TooLarge
from orbitbot.foundation.live import Live
from orbitbot.foundation.phone_numbers import BRAZIL, parse_number
from orbitbot.foundation.text import check_strings

LIFETIME: Final = 86_400.0  # seconds in which a bot that is away may come back and send a message
_AT_MOST_WAITING: Final = 90  # messages of a client; a bot takes a hundred commands at once
_HOSTS: Final = ("lid", "g.us")
# What each type needs, and what it may have beside `to`, `type` and `by`.
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "text": ("text",),
    "location": ("latitude", "longitude"),
    "reaction": ("target",),
    "document": ("file_name",),
}
_MAY_HAVE: Final[dict[str, tuple[str, ...]]] = {
    "text": ("quote",),
    "voice": ("quote", "media_type"),
    "audio": ("quote", "media_type"),
    "image": ("quote", "media_type", "text"),
    "document": ("quote", "media_type", "text"),
    "location": ("quote", "text", "address"),
    "reaction": ("text",),
    "read": (),
    "typing": (),
}
_MEDIA_TYPES: Final = {
    "voice": ("audio/ogg; codecs=opus", "audio/"),
    "audio": ("audio/mpeg", "audio/"),
    "image": ("image/jpeg", "image/"),
    "document": ("application/octet-stream", ""),
}
_OGG: Final = b"OggS"


class SendService:
    """Queues messages and tells what became of them."""

    def __init__(self, database: Database, live: Live) -> None:
        self._database = database
        self._live = live

    async def send(
        self, client_id: str, wanted: SendRequest, file: bytes, *, author: str, key: str | None
    ) -> SendView:
        """Queue a message for the client's bot.

        Args:
            file: content of the file; empty for a message without one.
            key: the caller's idempotency key; the same key gives the same message.

        Raises:
            InvalidInput: a field that has no business there, or lacks, or no number.
            TooLarge: the file.
            Conflict: the key was used for another message, or too many messages wait.
            NotFound: there is no such client.
        """
        wanted = checked(wanted, file)
        if key is not None:
            check_strings(key, field="Idempotency-Key", limit=MAX_KEY)
        fingerprint = hashlib.sha256(msgspec.json.encode(wanted) + hashlib.sha256(file).digest()).digest()
        send_id = uuid.uuid4().hex
        async with self._database.client(client_id) as connection:
            if not await store.client_exists(connection, client_id):
                raise NotFound(f"there is no client {client_id!r}")
            await store.lock_commands(connection, client_id)
            if key is not None and (known := await sends.read(connection, client_id, key=key)):
                if known.fingerprint != fingerprint:
                    raise Conflict("this Idempotency-Key was used for another message")
                return known.view()
            await store.tidy(connection, client_id, LIFETIME)
            await sends.tidy(connection, client_id)
            if len(await store.pending(connection, client_id)) >= _AT_MOST_WAITING:
                raise Conflict(f"{_AT_MOST_WAITING} messages wait for this client's bot already")
            row = {
                "client_id": client_id,
                "id": send_id,
                "contact": wanted.to,
                "type": wanted.type,
                "text": wanted.text,
                "author": author,
                "key": key,
                "fingerprint": fingerprint,
                "seconds": LIFETIME,
                "file": file or None,
            }
            await sends.insert(connection, row)
            order = _order(send_id, wanted, file)
            await store.insert(
                connection, client_id, msgspec.to_builtins(order), author=author, key=None, seconds=LIFETIME
            )
            stored = await sends.read(connection, client_id, send=send_id)
            if stored is None:
                raise LookupError("the new message was not returned")
            if order.by_person:
                await _take_over(connection, client_id, wanted, stored, author)
        await self._live.signal(client_id)
        return stored.view()

    async def read(self, client_id: str, send: str) -> SendView:
        """How far a message has got.

        Raises:
            NotFound: the client has none with this id.
        """
        async with self._database.client(client_id) as connection:
            stored = await sends.read(connection, client_id, send=send)
        if stored is None:
            raise NotFound(f"client {client_id!r} sends no message {send!r}")
        return stored.view()

    async def read_file(self, client_id: str, send: str) -> bytes:
        """The message's file, for the bot.

        Raises:
            NotFound: there is none (any more).
        """
        async with self._database.client(client_id) as connection:
            content = await sends.read_file(connection, client_id, send)
        if content is None:
            raise NotFound(f"message {send!r} has no file")
        return content


def checked(wanted: SendRequest, file: bytes) -> SendRequest:
    """The request with its number in digits and its media type, if all of it goes together.

    Raises:
        InvalidInput: names the field.
        TooLarge: the file.
    """
    check_strings(wanted)
    for field in _NEEDS.get(wanted.type, ()):
        if getattr(wanted, field) in {"", None}:
            raise InvalidInput(_camel(field), f"a message of type {wanted.type} needs it")
    allowed = {"to", "type", "by", *_NEEDS.get(wanted.type, ()), *_MAY_HAVE[wanted.type]}
    for field in wanted.__struct_fields__:
        if field not in allowed and getattr(wanted, field) not in {"", None}:
            raise InvalidInput(_camel(field), f"a message of type {wanted.type} has none")
    if bool(file) != (wanted.type in FILE_TYPES):
        need = "needs a file, sent as the part 'file'" if wanted.type in FILE_TYPES else "has no file"
        raise InvalidInput("file", f"a message of type {wanted.type} {need}")
    if len(file) > MAX_FILE:
        raise TooLarge(f"file: {len(file)} bytes; at most {MAX_FILE} are allowed")
    if wanted.type == "voice" and not file.startswith(_OGG):
        raise InvalidInput("file", "a voice note is an Ogg file with Opus in it")
    media_type = wanted.media_type
    if wanted.type in _MEDIA_TYPES:
        usual, begins = _MEDIA_TYPES[wanted.type]
        media_type = media_type or usual
        if not media_type.startswith(begins):
            raise InvalidInput("mediaType", f"{media_type} does not begin with {begins}")
    return msgspec.structs.replace(wanted, to=_recipient(wanted.to), media_type=media_type)


async def _take_over(
    connection: Connection, client_id: str, wanted: SendRequest, stored: sends.StoredSend, author: str
) -> None:
    """The assistant knows what a person writes, and is silent in the chat for a while."""
    configuration = await clients_store.read_configuration(connection, client_id)
    minutes, at = configuration.settings.takeover_minutes, stored.created_at.timestamp()
    said = wanted.text if wanted.type == "text" else f"[{wanted.type}] {wanted.text}".strip()
    await changes.remember(connection, client_id, wanted.to, f"person:{stored.id}", said=said, at=at)
    if minutes > 0:
        await changes.pause(connection, client_id, wanted.to, author=author, at=at, minutes=minutes)


def _recipient(to: str) -> str:
    user, _, host = to.partition("@")
    if not host:
        return parse_number(to, field="to", country=BRAZIL)
    if host not in _HOSTS or not user.replace("-", "").isdigit() or not user.isascii():
        raise InvalidInput("to", "not a recipient; allowed: a phone number, …@lid, …@g.us")
    return to


def _order(send_id: str, wanted: SendRequest, file: bytes) -> SendMessage:
    return SendMessage(
        send=send_id,
        to=wanted.to,
        type=wanted.type,
        text=wanted.text,
        quote=wanted.quote,
        target=wanted.target,
        file_name=wanted.file_name,
        media_type=wanted.media_type,
        media_size=len(file),
        latitude=wanted.latitude or 0.0,
        longitude=wanted.longitude or 0.0,
        address=wanted.address,
        by_person=wanted.by == "person" and wanted.type not in {"read", "typing", "reaction"},
    )


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(each.capitalize() for each in rest)
