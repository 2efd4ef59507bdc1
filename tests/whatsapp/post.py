"""The post office: encrypts what people write to bots, reads what bots write to people.

message = padded protobuf `Message`; 1 to 15 bytes of padding, each its count
"""

import secrets
import time
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature

from tests.whatsapp.groups import OwnSenderKey, SenderKeyReader
from tests.whatsapp.media import MediaStore
from tests.whatsapp.nodes import GROUP, Jid, Node
from tests.whatsapp.people import Device, Directory, Group, Person, Written
from tests.whatsapp.protobuf import Fields, encode
from tests.whatsapp.signal import Bundle, Undecryptable

# Fields of `Message`.
CONVERSATION, SENDER_KEY, IMAGE, CONTACT, LOCATION, EXTENDED_TEXT, DOCUMENT = 1, 2, 3, 4, 5, 6, 7
AUDIO, VIDEO, PROTOCOL, STICKER, DEVICE_SENT, REACTION = 8, 9, 12, 26, 31, 46

_KINDS: Final = {
    CONVERSATION: "text", EXTENDED_TEXT: "text", IMAGE: "image", AUDIO: "audio", VIDEO: "video",
    PROTOCOL: "protocol", REACTION: "reaction", DOCUMENT: "document", LOCATION: "location",
}  # fmt: skip


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a bot's as it reached whom it was for, decrypted by the receiver's phone.

    Attributes:
        to: the contact's number, or the group's id.
        readers: numbers of those whose phones could read it.
        kind: `text`, `image`, `audio`, `video`, `document`, `location`, `reaction`, `protocol` or `other`.
        target: id of the message that a reaction is to.
        name: of a document's file; `voice` for a recorded audio, `file` for another.
        position: of a place.
        quote: id of the message that it quotes; empty without one.
        media: the file, decrypted.
        tags: names of the stanza's other parts; `bot` among them puts an "AI" badge on the message.
        at: Unix time in seconds.
    """

    id: str
    bot: str
    to: str
    readers: list[str]
    kind: str
    text: str
    quote: str
    media: bytes
    target: str
    name: str
    position: tuple[float, float] | None
    tags: list[str]
    at: float


class PostOffice:
    """Messages between people and bots.

    Attributes:
        sent: every message that a bot has sent, in order.
        unreadable: stanzas of bots that nobody could read: (id, why).
    """

    def __init__(self, directory: Directory, media: MediaStore) -> None:
        self.sent: list[Sent] = []
        self.unreadable: list[tuple[str, str]] = []
        self._directory = directory
        self._media = media

    # To bots

    def write(
        self,
        device: Device,
        sender: Person,
        message: bytes,
        attributes: dict[str, str | Jid],
        group: Group | None,
    ) -> Node:
        """The stanza with which a message goes to the device; kept until it is acknowledged."""
        message_id = str(attributes["id"])
        device.written[message_id] = Written(sender, message, attributes, group)
        stanza = self.stanza(device, message_id)
        device.waiting[message_id] = stanza
        return stanza

    def stanza(self, device: Device, message_id: str, *, retry: int = 0) -> Node:
        """The message encrypted, anew if it was before."""
        written = device.written[message_id]
        attributes = self._addresses(written) | written.attributes
        encrypted = self._encrypt(device, written)
        if retry:
            for each in encrypted:
                each.attributes = {**each.attributes, "count": str(retry)}
        written.stanza = Node("message", attributes, encrypted)
        return written.stanza

    def resend(self, device: Device, receipt: Node) -> Node | None:
        """The answer to a retry receipt; None from a phone that is off, or for a message of nobody's."""
        message_id = receipt.text("id")
        written = device.written.get(message_id)
        retry = receipt.child("retry")
        if written is None or retry is None or not written.sender.answers_retries:
            return None
        bundle = _bundle_of(receipt) or device.publish()
        written.sender.phone.forget(device.name)
        written.sender.phone.open(device.name, bundle)
        stanza = self.stanza(device, message_id, retry=int(retry.text("count") or "1"))
        device.waiting[message_id] = stanza
        return stanza

    def _addresses(self, written: Written) -> dict[str, str | Jid]:
        sender, group = written.sender, written.group
        if group is not None:
            names = ("participant", "participant_lid", "participant_pn")
        else:
            names = ("from", "sender_lid", "sender_pn")
        shown, lid, number = names
        addresses: dict[str, str | Jid] = {"from": group.jid} if group else {}
        match sender.naming:
            case "number":
                addresses |= {shown: sender.jid, lid: sender.hidden_jid}
            case "lid":
                addresses |= {shown: sender.hidden_jid, number: sender.jid, "addressing_mode": "lid"}
            case "lid_only":
                addresses |= {shown: sender.hidden_jid, "addressing_mode": "lid"}
        return addresses

    def _encrypt(self, device: Device, written: Written) -> list[Node]:
        phone = written.sender.phone
        if not phone.has_session(device.name):
            phone.open(device.name, device.publish())
        if written.group is None:
            kind, content = phone.encrypt(device.name, _pad(written.message))
            return [Node("enc", {"v": "2", "type": kind}, content)]
        key = written.sender.sender_keys.setdefault(written.group.id, OwnSenderKey())
        invitation = encode((SENDER_KEY, encode((1, str(written.group.jid)), (2, key.distribution()))))
        kind, content = phone.encrypt(device.name, _pad(invitation))
        return [
            Node("enc", {"v": "2", "type": kind}, content),
            Node("enc", {"v": "2", "type": "skmsg"}, key.encrypt(_pad(written.message))),
        ]

    # From bots

    def read(self, device: Device, stanza: Node) -> list[Person]:
        """Let everybody whom a bot's stanza is for read it; returns the people whose phones have it."""
        to = stanza.jid("to")
        plain: bytes | None = None
        readers: list[Person] = []
        trouble = "it is for nobody"
        for recipient, encrypted in _envelopes(stanza):
            person = self._directory.find(recipient)
            try:
                opened = _unpad(person.phone.decrypt(device.name, encrypted.text("type"), encrypted.data))
            except (Undecryptable, ValueError) as error:
                trouble = f"{person.number}: {error}"
                continue
            message = Fields(opened)
            if SENDER_KEY in message:
                invitation = message.message(SENDER_KEY)
                person.readers[invitation.text(1), device.name] = SenderKeyReader(invitation.content(2))
            if person is not device.owner and to.server != GROUP:
                plain = opened
                readers.append(person)
        if to.server == GROUP and (group_message := _group_message(stanza)):
            for number in self._directory.group(to.user).members:
                member = self._directory.person(number)
                reader = member.readers.get((str(to), device.name))
                if member is device.owner or reader is None:
                    continue
                try:
                    plain = _unpad(reader.decrypt(group_message.data))
                except (Undecryptable, InvalidSignature) as error:
                    trouble = f"{number}: {error}"
                    continue
                readers.append(member)
        if plain is None:
            self.unreadable.append((stanza.text("id"), trouble))
            return []
        self.sent.append(self._describe(device, stanza, to, plain, readers))
        return readers

    def _describe(self, device: Device, stanza: Node, to: Jid, plain: bytes, readers: list[Person]) -> Sent:
        message = Fields(plain)
        field = next((each for each in _KINDS if each in message), 0)
        target, name, position = "", "", None
        text, quote, media = message.text(CONVERSATION), "", b""
        if field == EXTENDED_TEXT:
            text = message.message(field).text(1)
            quote = message.message(field).message(17).text(1)
        elif field == REACTION:
            text, target = message.message(field).text(2), message.message(field).message(1).text(3)
        elif field == AUDIO:
            audio = message.message(field)
            name = "voice" if audio.number(6) else "file"
            media = self._media.open(audio.text(9), audio.content(7), "Audio")
        elif field == IMAGE:
            image = message.message(field)
            text, media = image.text(3), self._media.open(image.text(11), image.content(8), "Image")
        elif field == DOCUMENT:
            document = message.message(field)
            text, name = document.text(20), document.text(8)
            media = self._media.open(document.text(10), document.content(7), "Document")
        elif field == LOCATION:
            place = message.message(field)
            text, position = place.text(3), (place.double(1), place.double(2))
        if field in {IMAGE, AUDIO, DOCUMENT}:
            quote = message.message(field).message(17).text(1)
        return Sent(
            id=stanza.text("id"),
            bot=device.owner.number,
            to=to.user if to.server == GROUP else self._directory.find(to).number,
            readers=[each.number for each in readers],
            kind=_KINDS.get(field, "other"),
            text=text,
            quote=quote,
            media=media,
            target=target,
            name=name,
            position=position,
            tags=sorted({each.tag for each in stanza.children}),
            at=time.time(),
        )


def new_message_id() -> str:
    """An id as phones make them."""
    return "3EB0" + secrets.token_hex(9).upper()


def _envelopes(stanza: Node) -> list[tuple[Jid, Node]]:
    participants = stanza.child("participants")
    if participants is None:
        direct = [each for each in stanza.children if each.tag == "enc" and each.text("type") != "skmsg"]
        return [(stanza.jid("to"), each) for each in direct]
    return [
        (each.jid("jid"), encrypted)
        for each in participants.children
        if (encrypted := each.child("enc")) is not None
    ]


def _group_message(stanza: Node) -> Node | None:
    return next(
        (each for each in stanza.children if each.tag == "enc" and each.text("type") == "skmsg"), None
    )


def _bundle_of(receipt: Node) -> Bundle | None:
    keys = receipt.child("keys")
    registration = receipt.child("registration")
    if keys is None or registration is None:
        return None
    return read_bundle(keys, registration.data)


def read_bundle(keys: Node, registration: bytes) -> Bundle:
    """A device's bundle from `<identity>`, `<skey>` and perhaps `<key>`."""
    signed, one_time = keys.child("skey"), keys.child("key")
    return Bundle(
        registration=int.from_bytes(registration, "big"),
        identity=_data(keys, "identity"),
        signed_key_id=int.from_bytes(_data(signed, "id"), "big"),
        signed_key=_data(signed, "value"),
        one_time=(int.from_bytes(_data(one_time, "id"), "big"), _data(one_time, "value"))
        if one_time
        else None,
    )


def _data(node: Node | None, tag: str) -> bytes:
    child = node.child(tag) if node else None
    if child is None:
        raise ValueError(f"<{tag}> is missing")
    return child.data


def _pad(message: bytes) -> bytes:
    count = secrets.randbelow(15) + 1
    return message + bytes([count]) * count


def _unpad(padded: bytes) -> bytes:
    return padded[: -padded[-1]]
