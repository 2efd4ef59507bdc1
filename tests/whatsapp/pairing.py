"""Linking a device: what the owner's phone does when it scans a QR code, or when an 8-digit code is typed in.

By QR: the code is `reference,noise key,identity key,secret,platform`. The phone signs the device's identity
key, and proves by the secret that it has seen the code.

By code: the same secret is agreed upon instead. Both sides encrypt an ephemeral key under the code (PBKDF2),
and the device sends its identity key in a bundle sealed by what the two ephemeral keys share.
"""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.whatsapp.ciphers import ctr
from tests.whatsapp.curve import KeyPair, hkdf
from tests.whatsapp.protobuf import encode

_ACCOUNT_SIGNATURE: Final = b"\x06\x00"
_ITERATIONS: Final = 131_072


@dataclass(frozen=True)
class ScannedCode:
    """What a phone reads from a QR code."""

    reference: str
    identity: bytes
    secret: bytes

    @classmethod
    def read(cls, text: str) -> "ScannedCode":
        """Read a code's text, with or without the address before it.

        Raises:
            ValueError: it is no linking code.
        """
        parts = text.rpartition("#")[2].split(",")
        if len(parts) < 4:
            raise ValueError(f"not a linking code: {text[:40]!r}")
        return cls(parts[0], base64.b64decode(parts[2]), base64.b64decode(parts[3]))


def signed_identity(account: KeyPair, identity: bytes, secret: bytes) -> bytes:
    """The `device-identity` with which the phone vouches for the new device."""
    details = encode((1, secrets.randbelow(2**31)), (2, int(time.time())), (3, 1))
    signature = account.sign(_ACCOUNT_SIGNATURE + details + identity)
    signed = encode((1, details), (2, account.public), (3, signature))
    return encode((1, signed), (2, hmac.digest(secret, signed, "sha256")))


class CodeLinking:
    """One attempt to link by code.

    Args:
        hello: 80 bytes from the device: salt, IV, its ephemeral key under the code.
    """

    def __init__(self, reference: str, hello: bytes) -> None:
        self.reference = reference
        self._hello = hello
        self._ephemeral = KeyPair.new()
        self._shared = b""

    def answer(self, code: str) -> bytes:
        """The phone's 80 bytes, once its owner has typed in the code (with or without the hyphen)."""
        code = code.replace("-", "").upper()
        theirs = ctr(_stretch(code, self._hello[:32]), self._hello[32:48], self._hello[48:80])
        self._shared = self._ephemeral.agree(theirs)
        salt, iv = secrets.token_bytes(32), secrets.token_bytes(16)
        return salt + iv + ctr(_stretch(code, salt), iv, self._ephemeral.public)

    def finish(self, account: KeyPair, bundle: bytes) -> tuple[bytes, bytes]:
        """The device's identity key and the secret, from its sealed bundle.

        Raises:
            cryptography.exceptions.InvalidTag: the code that was typed in was not the device's.
        """
        salt, nonce, sealed = bundle[:32], bundle[32:44], bundle[44:]
        key = hkdf(self._shared, b"link_code_pairing_key_bundle_encryption_key", 32, salt=salt)
        opened = AESGCM(key).decrypt(nonce, sealed, None)
        identity, account_identity, random = opened[:32], opened[32:64], opened[64:96]
        if account_identity != account.public:
            raise ValueError("the device means another account")
        return identity, hkdf(self._shared + account.agree(identity) + random, b"adv_secret", 32)


def _stretch(code: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", code.encode(), salt, _ITERATIONS, 32)
