"""Sender keys: how one device writes to a group once instead of once per member.

distribution = 0x33 | {id, iteration, chainKey, signingKey}      sent to each member by the Double Ratchet
skmsg        = 0x33 | {id, iteration, ciphertext} | XEdDSA signature
"""

import hmac
import secrets
from dataclasses import dataclass

from tests.whatsapp.ciphers import cbc_decrypt, cbc_encrypt
from tests.whatsapp.curve import KeyPair, hkdf, verify
from tests.whatsapp.protobuf import Fields, encode
from tests.whatsapp.signal import VERSION, Undecryptable

_SIGNATURE = 64  # bytes


@dataclass
class _Chain:
    key: bytes
    iteration: int

    def next_keys(self) -> tuple[bytes, bytes]:
        """IV and cipher key."""
        keys = hkdf(hmac.digest(self.key, b"\x01", "sha256"), b"WhisperGroup", 48)
        self.key, self.iteration = hmac.digest(self.key, b"\x02", "sha256"), self.iteration + 1
        return keys[:16], keys[16:]


class OwnSenderKey:
    """What one device writes to one group with."""

    def __init__(self) -> None:
        self._id = secrets.randbelow(2**31)
        self._chain = _Chain(secrets.token_bytes(32), 0)
        self._signing = KeyPair.new()

    def distribution(self) -> bytes:
        """What a member needs to read from now on."""
        return VERSION + encode(
            (1, self._id),
            (2, self._chain.iteration),
            (3, self._chain.key),
            (4, self._signing.typed_public),
        )

    def encrypt(self, plaintext: bytes) -> bytes:
        """One message to the group."""
        iteration = self._chain.iteration
        iv, key = self._chain.next_keys()
        body = VERSION + encode((1, self._id), (2, iteration), (3, cbc_encrypt(key, iv, plaintext)))
        return body + self._signing.sign(body)


class SenderKeyReader:
    """Reads what one device writes to one group."""

    def __init__(self, distribution: bytes) -> None:
        fields = Fields(distribution[1:])
        self._chain = _Chain(fields.content(3), fields.number(2))
        self._signing = fields.content(4)[1:]

    def decrypt(self, message: bytes) -> bytes:
        """Read a message.

        Raises:
            Undecryptable: it was read before.
            cryptography.exceptions.InvalidSignature: somebody else wrote it.
        """
        body, signature = message[:-_SIGNATURE], message[-_SIGNATURE:]
        verify(self._signing, body, signature)
        fields = Fields(body[1:])
        if fields.number(2) < self._chain.iteration:
            raise Undecryptable("a message that was read before")
        while True:
            iteration = self._chain.iteration
            iv, key = self._chain.next_keys()
            if iteration == fields.number(2):
                return cbc_decrypt(key, iv, fields.content(3))
