"""Who is on this WhatsApp: people with a phone each, the devices they have linked (the bots), and groups."""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.whatsapp.groups import OwnSenderKey, SenderKeyReader
from tests.whatsapp.nodes import GROUP, LID, PHONE, Jid, Node
from tests.whatsapp.signal import Bundle, Peer

if TYPE_CHECKING:
    from tests.whatsapp.connection import Connection

# How the server names a person to others: by phone number with the LID beside it, by LID with the number
# beside it, or by LID alone.
Naming = Literal["number", "lid", "lid_only"]


@dataclass
class Person:
    """Somebody with a phone: a contact, or the owner of a number that a bot answers.

    Attributes:
        answers_retries: the phone encrypts anew what the bot could not read. A phone that is off does not.
        sends_receipts: the phone says that it got a message.
    """

    number: str
    lid: str
    name: str = "Contato"
    naming: Naming = "number"
    answers_retries: bool = True
    sends_receipts: bool = True
    phone: Peer = field(default_factory=Peer)
    sender_keys: dict[str, OwnSenderKey] = field(default_factory=dict)  # by group
    readers: dict[tuple[str, str], SenderKeyReader] = field(default_factory=dict)  # by group and sender

    @property
    def jid(self) -> Jid:
        return Jid(self.number, PHONE)

    @property
    def hidden_jid(self) -> Jid:
        return Jid(self.lid, LID)


@dataclass
class Group:
    """A group and its members' numbers."""

    id: str
    subject: str
    members: list[str]

    @property
    def jid(self) -> Jid:
        return Jid(self.id, GROUP)


@dataclass
class Written:
    """A message to a bot as its sender knows it, to encrypt it again; and as it was sent last."""

    sender: Person
    message: bytes
    attributes: dict[str, str | Jid]
    group: Group | None
    stanza: Node | None = None


@dataclass
class Device:
    """A linked device: one bot.

    Attributes:
        waiting: stanzas by id, in order, that the device has not acknowledged; sent again when it comes back.
        receipts: contacts' receipts by the message's id that it has not acknowledged; as `waiting`.
        written: everything that was ever written to it, by id.
        logins: how often it has logged in.
    """

    owner: Person
    number: int
    bundle: Bundle | None = None
    one_time_keys: deque[tuple[int, bytes]] = field(default_factory=deque)
    waiting: dict[str, Node] = field(default_factory=dict)
    receipts: dict[str, Node] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)
    connection: "Connection | None" = None
    logins: int = 0

    @property
    def jid(self) -> Jid:
        return Jid(self.owner.number, PHONE, self.number)

    @property
    def hidden_jid(self) -> Jid:
        return Jid(self.owner.lid, LID, self.number)

    @property
    def name(self) -> str:
        """What phones call their session with it."""
        return str(self.jid)

    def hand_over_receipt(self, receipt: Node) -> None:
        """A contact's phone says that it has a message; the device is told now, or when it comes back."""
        self.receipts[receipt.text("id")] = receipt
        if self.connection is not None:
            self.connection.send(receipt)

    def publish(self) -> Bundle:
        """Its bundle with a one-time key of its own.

        Raises:
            LookupError: it has not uploaded any keys yet.
        """
        if self.bundle is None:
            raise LookupError(f"{self.name} has not uploaded its keys")
        one_time = self.one_time_keys.popleft() if self.one_time_keys else None
        base = self.bundle
        return Bundle(base.registration, base.identity, base.signed_key_id, base.signed_key, one_time)


class Directory:
    """Everybody, everything linked, every group."""

    def __init__(self) -> None:
        self._people: dict[str, Person] = {}
        self._devices: dict[str, Device] = {}  # the latest of each number
        self._groups: dict[str, Group] = {}
        self._device_numbers = itertools.count(1)
        self._group_numbers = itertools.count(1)

    def person(self, number: str) -> Person:
        """Whoever has the number; somebody new where it is unknown."""
        if number not in self._people:
            self._people[number] = Person(number=number, lid=f"9{number}")
        return self._people[number]

    def find(self, jid: Jid) -> Person:
        """Whoever is meant by an address, by number or by LID."""
        if jid.server != LID:
            return self.person(jid.user)
        return next((each for each in self._people.values() if each.lid == jid.user), None) or self.person(
            jid.user.removeprefix("9")
        )

    def link(self, owner: Person) -> Device:
        """A new device of the owner's, in place of an earlier one."""
        device = self._devices[owner.number] = Device(owner, next(self._device_numbers) % 99 + 1)
        return device

    def unlink(self, device: Device) -> None:
        if self._devices.get(device.owner.number) is device:
            del self._devices[device.owner.number]

    def device(self, number: str) -> Device:
        """The bot on a number.

        Raises:
            LookupError: nothing is linked there.
        """
        if number not in self._devices:
            raise LookupError(f"no device is linked to {number}; there are: {sorted(self._devices)}")
        return self._devices[number]

    def linked(self, number: str) -> Device | None:
        return self._devices.get(number)

    def devices(self) -> Iterator[Device]:
        return iter(self._devices.values())

    def make_group(self, subject: str, members: list[str]) -> Group:
        group = Group(f"1203630000000{next(self._group_numbers):05d}", subject, members)
        self._groups[group.id] = group
        return group

    def group(self, group_id: str) -> Group:
        """A group by its id, with or without the server's name.

        Raises:
            LookupError: there is none.
        """
        group_id = group_id.partition("@")[0]
        if group_id not in self._groups:
            raise LookupError(f"no group {group_id}")
        return self._groups[group_id]

    def forget_sessions(self, device: Device) -> None:
        """Nobody's phone knows the device any more, as after a new pairing."""
        for person in self._people.values():
            person.phone.forget(device.name)
