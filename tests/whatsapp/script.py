"""What a test can have people, phones and the server do. Bots are named by the number they answer.

Every method is called on the server's event loop; `handle.WhatsApp` and `remote.RemoteWhatsApp` offer the
same methods from any thread and from any process.
"""

import time
import zlib

import msgspec

from tests.whatsapp.core import Core, Presence, Receipt
from tests.whatsapp.media import Reference
from tests.whatsapp.nodes import Jid, Node
from tests.whatsapp.pairing import ScannedCode
from tests.whatsapp.people import Device, Naming
from tests.whatsapp.post import AUDIO, CONVERSATION, IMAGE, PROTOCOL, Sent, new_message_id
from tests.whatsapp.protobuf import encode
from tests.whatsapp.troubles import Hearing

_HISTORY_SYNC = 5  # `ProtocolMessage.Type`
_STATUS = Jid("status", "broadcast")


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A linked device.

    Attributes:
        ready: it is connected and has published its keys, so that people can write to it.
        waiting: ids of the messages that it has not acknowledged.
    """

    number: str
    device: int
    connected: bool
    ready: bool
    logins: int
    waiting: list[str]


class Script:
    """The scripting interface."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # Pairing

    def scan(self, code: str, number: str) -> None:
        """The owner of `number` scans a QR code, given as its text.

        Raises:
            LookupError: no client waits for it any more.
        """
        scanned = ScannedCode.read(code)
        connection = self._core.waiting.get(scanned.reference)
        if connection is None:
            raise LookupError("nobody waits to be paired by this code")
        connection.scan(scanned, self._core.directory.person(number))

    def enter_code(self, code: str, number: str) -> None:
        """The owner of `number` types in an 8-digit code.

        Raises:
            LookupError: no client has asked for a code for this number.
        """
        connection = self._core.linking.get(number)
        if connection is None:
            raise LookupError(f"no client has asked to be linked to {number}")
        connection.enter_code(code, self._core.directory.person(number))

    def waiting_to_be_paired(self) -> int:
        """How many clients wait to be paired."""
        return len(set(map(id, self._core.waiting.values())))

    def wrong_codes(self) -> int:
        """How often a wrong 8-digit code was typed in."""
        return self._core.wrong_codes

    def devices(self) -> list[DeviceView]:
        """Every linked device."""
        return [
            DeviceView(
                number=each.owner.number,
                device=each.number,
                connected=each.connection is not None,
                ready=each.connection is not None and each.bundle is not None,
                logins=each.logins,
                waiting=list(each.waiting),
            )
            for each in self._core.directory.devices()
        ]

    def is_ready(self, bot: str) -> bool:
        """Whether people can write to the bot, and it is there to read."""
        return any(each.number == bot and each.ready for each in self.devices())

    def connections(self) -> int:
        """How many WebSockets were opened so far."""
        return self._core.connections

    # People

    def contact(
        self,
        number: str,
        *,
        name: str = "Contato",
        naming: Naming = "number",
        answers_retries: bool = True,
        sends_receipts: bool = True,
    ) -> str:
        """Make or change a contact; returns the LID.

        Args:
            naming: how the server names this person to bots. Changing it is what WhatsApp does to its users.
        """
        person = self._core.directory.person(number)
        person.name, person.naming = name, naming
        person.answers_retries, person.sends_receipts = answers_retries, sends_receipts
        return person.lid

    def group(self, subject: str, members: list[str]) -> str:
        """Make a group; returns its id without the server's name."""
        return self._core.directory.make_group(subject, members).id

    # To the bot

    def say(
        self,
        bot: str,
        number: str,
        text: str,
        *,
        message_id: str = "",
        group: str = "",
        sent_at: float | None = None,
        status: bool = False,
    ) -> str:
        """Somebody writes to the bot, or in a group that it is in, or a status; returns the message's id."""
        message = encode((CONVERSATION, text))
        return self._write(bot, number, message, message_id, group, sent_at, status=status)

    def say_raw(self, bot: str, number: str, message: bytes, *, message_id: str = "", group: str = "") -> str:
        """Send any protobuf `Message`; returns the message's id."""
        return self._write(bot, number, message, message_id, group, None)

    def say_from_own_phone(self, bot: str, to: str, text: str, *, message_id: str = "") -> str:
        """The bot's owner writes to somebody by hand, and the phone tells its linked devices."""
        owner, contact = self._core.directory.person(bot), self._core.directory.person(to)
        inner = encode((CONVERSATION, text))
        message = encode((31, encode((1, str(contact.jid)), (2, inner))))
        return self._write(bot, owner.number, message, message_id, "", None, more={"recipient": contact.jid})

    def record(
        self,
        bot: str,
        number: str,
        note: bytes,
        *,
        message_id: str = "",
        group: str = "",
        claimed_size: int | None = None,
        sent_at: float | None = None,
        recorded: bool = True,
    ) -> str:
        """Somebody sends a voice note; returns the message's id.

        Args:
            recorded: in the chat; else it is a file with sound.
            note: content of an OGG/Opus file.
            claimed_size: what the message says about the file's size, where it lies.
        """
        file = self._core.media.put(note, "Audio")
        audio = encode(
            (1, file.url),
            (2, "audio/ogg; codecs=opus"),
            (3, file.plain_hash),
            (4, file.size if claimed_size is None else claimed_size),
            (5, 3),
            (6, int(recorded)),
            (7, file.key),
            (8, file.cipher_hash),
            (9, file.path),
        )
        return self._write(bot, number, encode((AUDIO, audio)), message_id, group, sent_at)

    def photograph(
        self, bot: str, number: str, picture: bytes, caption: str = "", *, message_id: str = ""
    ) -> str:
        """Somebody sends a picture; returns the message's id."""
        file = self._core.media.put(picture, "Image")
        image = encode(
            (1, file.url), (2, "image/jpeg"), (3, caption or None), (4, file.plain_hash), (5, file.size),
            (8, file.key), (9, file.cipher_hash), (11, file.path),
        )  # fmt: skip
        return self._write(bot, number, encode((IMAGE, image)), message_id, "", None)

    def synchronise_history(self, bot: str, number: str, texts: list[str]) -> list[str]:
        """The owner's phone hands over a conversation from before the pairing; returns the messages' ids."""
        ids = [new_message_id() for _ in texts]
        jid = str(self._core.directory.person(number).jid)
        an_hour_ago = int(time.time()) - 3600
        messages = [
            encode(
                (1, encode((1, encode((1, jid), (2, 0), (3, message_id))), (2, encode((CONVERSATION, text))),
                           (3, an_hour_ago))),
            )
            for message_id, text in zip(ids, texts, strict=True)
        ]  # fmt: skip
        conversation = encode((1, jid), *((2, each) for each in messages))
        file = self._core.media.put(zlib.compress(encode((1, 0), (2, conversation))), "History")
        notification = _history_notification(file)
        message = encode((PROTOCOL, encode((2, _HISTORY_SYNC), (6, notification))))
        self._write(bot, bot, message, "", "", None, more={"category": "peer"})
        return ids

    def redeliver(self, bot: str, message_ids: list[str], *, encrypted_anew: bool = True) -> None:
        """Deliver messages again, in this order.

        Args:
            encrypted_anew: as after a retry: the bot sees the same id twice. Else byte for byte as before:
                the Signal layer drops it.
        """
        device = self._core.directory.device(bot)
        for message_id in message_ids:
            stanza = device.written[message_id].stanza
            if encrypted_anew or stanza is None:
                stanza = self._core.post.stanza(device, message_id)
            device.waiting[message_id] = stanza
            if device.connection is not None:
                device.connection.send(stanza)

    def say_undecryptable(self, bot: str, number: str, text: str, *, message_id: str = "") -> str:
        """Somebody writes, and the ciphertext is damaged on the way; returns the message's id.

        The bot asks for it again. A phone that `answers_retries` then sends it whole.
        """
        device = self._core.directory.device(bot)
        message_id = message_id or new_message_id()
        attributes = self._attributes(message_id, number, None)
        person = self._core.directory.person(number)
        stanza = self._core.post.write(device, person, encode((CONVERSATION, text)), attributes, None)
        for part in stanza.children:
            part.content = part.data[:-4] + bytes(4)
        if device.connection is not None:
            device.connection.send(stanza)
        return message_id

    def read_receipt(self, bot: str, number: str, message_id: str) -> None:
        """The contact has read the bot's message."""
        jid = self._core.directory.person(number).hidden_jid
        self._core.directory.device(bot).hand_over_receipt(
            Node("receipt", {"from": jid, "id": message_id, "type": "read", "t": str(int(time.time()))})
        )

    # From the bot

    def sent(self, bot: str) -> list[Sent]:
        """Everything the bot has sent, decrypted by whom it was for, in order."""
        return [each for each in self._core.post.sent if each.bot == bot]

    def unreadable(self) -> list[tuple[str, str]]:
        """What bots have sent that nobody could read, and why. Empty, or there is a mistake somewhere."""
        return self._core.post.unreadable

    def receipts(self, bot: str) -> list[Receipt]:
        """The bot's receipts, in order."""
        return [each for each in self._core.receipts if each.bot == bot]

    def presences(self, bot: str) -> list[Presence]:
        """What the bot has shown, in order."""
        return [each for each in self._core.presences if each.bot == bot]

    def retries(self) -> list[str]:
        """Ids of messages that bots have asked for again, once for each time."""
        return self._core.retries

    def lookups(self, bot: str) -> int:
        """How often the bot has asked for people's devices."""
        return self._core.lookups[bot]

    def media_fetched(self) -> list[str]:
        """Paths of the files that bots have fetched, once for each time."""
        return self._core.media.fetched

    # Troubles

    def drop(self, bot: str) -> None:
        """Cut the bot's connection."""
        device = self._core.directory.device(bot)
        if device.connection is not None:
            device.connection.cut()

    def drop_unpaired(self) -> None:
        """Cut the connections of all who wait to be paired."""
        for connection in set(self._core.waiting.values()):
            connection.cut()

    def kick(self, bot: str) -> None:
        """End the bot's stream with an error, as a server that restarts does."""
        self._throw_out(bot, "kicked")

    def replace(self, bot: str) -> None:
        """Somebody else has opened the same session."""
        self._throw_out(bot, "replaced")

    def log_out(self, bot: str) -> None:
        """The owner removes the linked device on the phone."""
        device = self._core.directory.device(bot)
        self._core.directory.unlink(device)
        if device.connection is not None:
            device.connection.throw_out("device_removed")

    def hearing(self, bot: str, hearing: Hearing) -> None:
        """Make the bot deaf: over its open connection comes `nothing`, or `answers_only`, or again `all`."""
        self._core.troubles.hearing[bot] = hearing

    def delay(self, bot: str, seconds: float) -> None:
        """Slow down everything that the server sends to the bot."""
        self._core.troubles.delay[bot] = seconds

    def outdated(self, *, on: bool) -> None:
        """Refuse every login and pairing because the client's version is too old (405)."""
        self._core.troubles.outdated = on

    def ban(self, bot: str, seconds: int) -> None:
        """Ban the number for a time (402) and throw its bot out; 0 lifts the ban."""
        if seconds:
            self._core.troubles.banned_for[bot] = seconds
            self._throw_out(bot, "kicked")
        else:
            self._core.troubles.banned_for.pop(bot, None)

    def refuse_connections(self, *, on: bool) -> None:
        """Close every new connection at once."""
        self._core.troubles.refuse_connections = on

    def hold_connections(self, *, on: bool) -> None:
        """Take new connections, and never answer."""
        self._core.troubles.hold_connections = on

    def send_error(self, bot: str, code: int) -> None:
        """Refuse what the bot sends (463: outreach is locked); 0 ends it."""
        self._core.troubles.send_error[bot] = code

    def delay_receipts(self, bot: str, seconds: float) -> None:
        """Let contacts' phones take their time to say that they have a message of the bot's."""
        self._core.troubles.receipt_delay[bot] = seconds

    def lose_acknowledgements(self, bot: str, count: int) -> None:
        """Deliver the bot's next `count` messages, and never tell it."""
        self._core.troubles.lost_acknowledgements[bot] = count

    def break_media(self, *, on: bool) -> None:
        """Answer 500 for every file that is there now; or no longer."""
        self._core.media.break_all(on)

    # Inner parts

    def _throw_out(self, bot: str, why: str) -> None:
        device = self._core.directory.device(bot)
        if device.connection is not None:
            device.connection.throw_out(why)

    def _attributes(self, message_id: str, number: str, sent_at: float | None) -> dict[str, str | Jid]:
        return {
            "id": message_id,
            "t": str(int(time.time() if sent_at is None else sent_at)),
            "type": "text",
            "notify": self._core.directory.person(number).name,
        }

    def _write(  # noqa: PLR0917  (every caller passes them all)
        self,
        bot: str,
        number: str,
        message: bytes,
        message_id: str,
        group: str,
        sent_at: float | None,
        *,
        status: bool = False,
        more: dict[str, str | Jid] | None = None,
    ) -> str:
        device: Device = self._core.directory.device(bot)
        person = self._core.directory.person(number)
        attributes = self._attributes(message_id or new_message_id(), number, sent_at) | (more or {})
        if status:
            attributes |= {"from": _STATUS, "participant": person.jid}
        where = self._core.directory.group(group) if group else None
        stanza = self._core.post.write(device, person, message, attributes, where)
        if device.connection is not None:
            device.connection.send(stanza)
        return str(attributes["id"])


def _history_notification(file: Reference) -> bytes:
    return encode(
        (1, file.plain_hash), (2, file.size), (3, file.key), (4, file.cipher_hash), (5, file.path), (6, 0),
        (7, 1), (9, 100),
    )  # fmt: skip
