"""The Noise handshake (XX, 25519, AES-GCM, SHA-256) and the encrypted transport after it, the server's side.

-> prologue "WA" 6 3, then frames of a 3-byte length and a content
-> ClientHello  {ephemeral}
<- ServerHello  {ephemeral, static, payload}      payload: the certificate chain, root to static key
-> ClientFinish {static, payload}                 payload: ClientPayload, who wants what
"""

import hashlib
import struct
import time
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.whatsapp.curve import KeyPair, hkdf
from tests.whatsapp.protobuf import Fields, encode

PATTERN: Final = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
PROLOGUE_SIZE: Final = 4  # bytes
_YEAR: Final = 365 * 86_400  # seconds


class ServerKeys:
    """Root, intermediate and static key. A client believes the chain because it knows the root."""

    def __init__(self) -> None:
        self.root = KeyPair.new()
        self.static = KeyPair.new()
        self.chain = self._chain(KeyPair.new())

    def _chain(self, intermediate: KeyPair) -> bytes:
        certificates = []
        for serial, issuer, signer, key in (
            (2, 1, intermediate, self.static),
            (1, 0, self.root, intermediate),
        ):
            now = int(time.time())
            details = encode((1, serial), (2, issuer), (3, key.public), (4, now - _YEAR), (5, now + _YEAR))
            certificates.append(encode((1, details), (2, signer.sign(details))))
        leaf, middle = certificates
        return encode((1, leaf), (2, middle))


@dataclass(frozen=True)
class ClientPayload:
    """Who connects: an account's device that logs in, or a new device that wants to be paired."""

    user: str
    device: int
    registration: bytes

    @classmethod
    def read(cls, content: bytes) -> "ClientPayload":
        fields = Fields(content)
        number = fields.number(1)
        return cls(str(number) if number else "", fields.number(18), fields.content(19))


class Handshake:
    """One handshake: `hello` answers the client's first frame, `finish` takes its second."""

    def __init__(self, keys: ServerKeys, prologue: bytes) -> None:
        self._keys = keys
        self._hash = self._salt = PATTERN
        self._cipher = AESGCM(PATTERN)
        self._counter = 0
        self._ephemeral = KeyPair.new()
        self._authenticate(prologue)

    def hello(self, frame: bytes) -> bytes:
        """The ServerHello for a ClientHello."""
        theirs = Fields(frame).message(2).content(1)
        self._authenticate(theirs)
        self._authenticate(self._ephemeral.public)
        self._mix(self._ephemeral.agree(theirs))
        static = self._encrypt(self._keys.static.public)
        self._mix(self._keys.static.agree(theirs))
        payload = self._encrypt(self._keys.chain)
        return encode((3, encode((1, self._ephemeral.public), (2, static), (3, payload))))

    def finish(self, frame: bytes) -> "tuple[Transport, ClientPayload]":
        """The transport, and who is at its other end."""
        fields = Fields(frame).message(4)
        self._mix(self._ephemeral.agree(self._decrypt(fields.content(1))))
        payload = ClientPayload.read(self._decrypt(fields.content(2)))
        keys = hkdf(b"", b"", 64, salt=self._salt)
        return Transport(AESGCM(keys[:32]), AESGCM(keys[32:])), payload

    def _authenticate(self, content: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + content).digest()

    def _mix(self, secret: bytes) -> None:
        keys = hkdf(secret, b"", 64, salt=self._salt)
        self._salt, self._cipher, self._counter = keys[:32], AESGCM(keys[32:]), 0

    def _nonce(self) -> bytes:
        nonce = _nonce(self._counter)
        self._counter += 1
        return nonce

    def _encrypt(self, content: bytes) -> bytes:
        sealed = self._cipher.encrypt(self._nonce(), content, self._hash)
        self._authenticate(sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        content = self._cipher.decrypt(self._nonce(), sealed, self._hash)
        self._authenticate(sealed)
        return content


class Transport:
    """Frames in both directions after the handshake."""

    def __init__(self, reading: AESGCM, writing: AESGCM) -> None:
        self._reading, self._writing = reading, writing
        self._read = self._written = 0

    def decrypt(self, frame: bytes) -> bytes:
        content = self._reading.decrypt(_nonce(self._read), frame, None)
        self._read += 1
        return content

    def encrypt(self, content: bytes) -> bytes:
        frame = self._writing.encrypt(_nonce(self._written), content, None)
        self._written += 1
        return frame


def _nonce(counter: int) -> bytes:
    return bytes(8) + struct.pack(">I", counter)
