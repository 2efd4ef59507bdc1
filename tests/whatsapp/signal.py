"""The Signal protocol between two devices: X3DH, then the Double Ratchet (version 3, as libsignal writes it).

    pkmsg = 0x33 | {preKeyId, baseKey, identityKey, message, registrationId, signedPreKeyId}
    msg   = 0x33 | {ratchetKey, counter, previousCounter, ciphertext} | first 8 bytes of a MAC

`Peer` is one device. It opens a session with another's key bundle, or answers one opened towards it.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.whatsapp.ciphers import cbc_decrypt, cbc_encrypt
from tests.whatsapp.curve import DJB, KeyPair, hkdf
from tests.whatsapp.protobuf import Fields, encode

VERSION: Final = b"\x33"
MAC_SIZE: Final = 8  # bytes
MOST_SKIPPED: Final = 2000  # messages of one chain that may arrive late

Kind = Literal["pkmsg", "msg"]


class Undecryptable(Exception):
    """No session of this peer opens the message."""


@dataclass(frozen=True)
class Bundle:
    """What a device publishes so that others can write to it first."""

    registration: int
    identity: bytes
    signed_key_id: int
    signed_key: bytes
    one_time: tuple[int, bytes] | None


@dataclass
class _Chain:
    """One direction's message keys, each used once."""

    key: bytes
    index: int = 0

    def next_message_key(self) -> bytes:
        """80 bytes: cipher key, MAC key, IV."""
        seed = hmac.digest(self.key, b"\x01", "sha256")
        self.key, self.index = hmac.digest(self.key, b"\x02", "sha256"), self.index + 1
        return hkdf(seed, b"WhisperMessageKeys", 80)


@dataclass
class _Session:
    """The ratchet shared with one device."""

    own_identity: bytes
    their_identity: bytes
    root: bytes
    ratchet: KeyPair
    sending: _Chain
    base_key: bytes
    previous_counter: int = 0
    receiving: dict[bytes, _Chain] = field(default_factory=dict)
    skipped: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    opening: list[tuple[int, int | bytes | None]] | None = None  # until the other side has answered

    def encrypt(self, plaintext: bytes) -> tuple[Kind, bytes]:
        counter = self.sending.index
        keys = self.sending.next_message_key()
        body = VERSION + encode(
            (1, DJB + self.ratchet.public),
            (2, counter),
            (3, self.previous_counter),
            (4, cbc_encrypt(keys[:32], keys[64:], plaintext)),
        )
        message = body + self._mac(keys[32:64], self.own_identity, self.their_identity, body)
        if self.opening is None:
            return "msg", message
        return "pkmsg", VERSION + encode(*self.opening, (4, message))

    def decrypt(self, message: bytes) -> bytes:
        body, mac = message[:-MAC_SIZE], message[-MAC_SIZE:]
        fields = Fields(body[1:])
        theirs, counter = fields.content(1)[1:], fields.number(2)
        keys = self.skipped.pop((theirs, counter), None)
        if keys is None:
            chain = self.receiving.get(theirs) or self._turn_ratchet(theirs)
            if counter < chain.index:
                raise Undecryptable("a message that was read before")
            if counter - chain.index > MOST_SKIPPED:
                raise Undecryptable("too many messages are missing")
            while chain.index < counter:
                self.skipped[theirs, chain.index] = chain.next_message_key()
            keys = chain.next_message_key()
        if not hmac.compare_digest(mac, self._mac(keys[32:64], self.their_identity, self.own_identity, body)):
            raise Undecryptable("wrong MAC")
        plaintext = cbc_decrypt(keys[:32], keys[64:], fields.content(4))
        self.opening = None  # they have the session
        return plaintext

    def _turn_ratchet(self, theirs: bytes) -> _Chain:
        self.root, received = self._step(theirs)
        chain = self.receiving[theirs] = _Chain(received)
        self.previous_counter = self.sending.index
        self.ratchet = KeyPair.new()
        self.root, sending = self._step(theirs)
        self.sending = _Chain(sending)
        return chain

    def _step(self, theirs: bytes) -> tuple[bytes, bytes]:
        keys = hkdf(self.ratchet.agree(theirs), b"WhisperRatchet", 64, salt=self.root)
        return keys[:32], keys[32:]

    @staticmethod
    def _mac(key: bytes, sender: bytes, receiver: bytes, body: bytes) -> bytes:
        return hmac.digest(key, DJB + sender + DJB + receiver + body, "sha256")[:MAC_SIZE]


class Peer:
    """One device: its identity, its prekeys, its sessions with others (by any name the caller chooses)."""

    def __init__(self) -> None:
        self.identity = KeyPair.new()
        self.registration = secrets.randbelow(16_380) + 1
        self.signed_key_id = 1
        self.signed_key = KeyPair.new()
        self._one_time: dict[int, KeyPair] = {}
        self._last_one_time = 0
        self._sessions: dict[str, list[_Session]] = {}  # newest first

    def publish(self) -> Bundle:
        """A bundle with a new one-time key."""
        self._last_one_time += 1
        key = self._one_time[self._last_one_time] = KeyPair.new()
        return Bundle(
            registration=self.registration,
            identity=self.identity.public,
            signed_key_id=self.signed_key_id,
            signed_key=self.signed_key.public,
            one_time=(self._last_one_time, key.public),
        )

    def has_session(self, name: str) -> bool:
        return bool(self._sessions.get(name))

    def forget(self, name: str) -> None:
        """Drop every session with `name`: the next message opens a new one."""
        self._sessions.pop(name, None)

    def open(self, name: str, bundle: Bundle) -> None:
        """Begin a session towards `bundle`'s device (X3DH's initiator)."""
        base = KeyPair.new()
        secret = (
            b"\xff" * 32
            + self.identity.agree(bundle.signed_key)
            + base.agree(bundle.identity)
            + base.agree(bundle.signed_key)
        )
        if bundle.one_time:
            secret += base.agree(bundle.one_time[1])
        keys = hkdf(secret, b"WhisperText", 64)
        session = _Session(
            own_identity=self.identity.public,
            their_identity=bundle.identity,
            root=keys[:32],
            ratchet=KeyPair.new(),
            sending=_Chain(b""),
            base_key=base.public,
            receiving={bundle.signed_key: _Chain(keys[32:])},
            opening=[
                (1, bundle.one_time[0] if bundle.one_time else None),
                (2, base.typed_public),
                (3, self.identity.typed_public),
                (5, self.registration),
                (6, bundle.signed_key_id),
            ],
        )
        session.root, sending = session._step(bundle.signed_key)
        session.sending = _Chain(sending)
        self._sessions.setdefault(name, []).insert(0, session)

    def encrypt(self, name: str, plaintext: bytes) -> tuple[Kind, bytes]:
        """A message for `name`, with whom there is a session."""
        return self._sessions[name][0].encrypt(plaintext)

    def decrypt(self, name: str, kind: str, message: bytes) -> bytes:
        """Read a message from `name`.

        Raises:
            Undecryptable: nobody but its sender can read it.
        """
        if kind == "pkmsg":
            fields = Fields(message[1:])
            self._answer(name, fields)
            message = fields.content(4)
        trouble = "there is no session"
        for session in self._sessions.get(name, []):
            try:
                plaintext = session.decrypt(message)
            except (Undecryptable, ValueError) as error:
                trouble = str(error)
                continue
            self._sessions[name].remove(session)
            self._sessions[name].insert(0, session)
            return plaintext
        raise Undecryptable(trouble)

    def _answer(self, name: str, opening: Fields) -> None:
        """Take up a session that `name` has opened (X3DH's responder)."""
        base, identity = opening.content(2)[1:], opening.content(3)[1:]
        if any(session.base_key == base for session in self._sessions.get(name, [])):
            return
        secret = (
            b"\xff" * 32
            + self.signed_key.agree(identity)
            + self.identity.agree(base)
            + self.signed_key.agree(base)
        )
        if 1 in opening:
            one_time = self._one_time.get(opening.number(1))
            if one_time is None:
                raise Undecryptable("an unknown one-time key")
            secret += one_time.agree(base)
        keys = hkdf(secret, b"WhisperText", 64)
        session = _Session(
            own_identity=self.identity.public,
            their_identity=identity,
            root=keys[:32],
            ratchet=self.signed_key,
            sending=_Chain(keys[32:]),
            base_key=base,
        )
        self._sessions.setdefault(name, []).insert(0, session)
