"""Encrypts clients' own provider keys, so that neither the database nor its backups hold one.

AES-256-GCM with a key derived from a secret that only AI hosts have. The client's id is bound in: what is
sealed for one client does not open for another.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE: Final = 12  # bytes
_FORMAT: Final = b"\x01"
_INFO: Final = b"orbitbot provider keys"


class SealBrokenError(Exception):
    """What was sealed cannot be opened: another secret, another client, or damage."""


class Sealer:
    """Seals and opens with one secret."""

    def __init__(self, secret: str) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret.encode())
        self._cipher = AESGCM(derived)

    def seal(self, client_id: str, text: str) -> bytes:
        """`text`, encrypted for `client_id`; different each time."""
        nonce = os.urandom(_NONCE)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, text.encode(), client_id.encode())

    def open(self, client_id: str, sealed: bytes) -> str:
        """What was sealed for `client_id`.

        Raises:
            SealBrokenError: it was not, or not with this secret.
        """
        nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        if sealed[:1] != _FORMAT or len(nonce) != _NONCE:
            raise SealBrokenError("unknown form")
        try:
            return self._cipher.decrypt(nonce, body, client_id.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBrokenError("it does not open") from error
