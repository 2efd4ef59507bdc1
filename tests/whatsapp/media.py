"""WhatsApp's media store: files encrypted by their sender, fetched by path.

key of 32 bytes, expanded by HKDF with the kind's name → IV, cipher key, MAC key
blob = AES-CBC | first 10 bytes of a MAC over IV and ciphertext
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from tests.whatsapp.ciphers import cbc_decrypt, cbc_encrypt
from tests.whatsapp.curve import hkdf

HOST: Final = "mmg.whatsapp.net"
_MAC: Final = 10  # bytes

Kind = Literal["Audio", "Image", "Video", "Document", "History"]


@dataclass(frozen=True)
class Reference:
    """What a message tells about its file."""

    path: str
    key: bytes
    plain_hash: bytes
    cipher_hash: bytes
    size: int

    @property
    def url(self) -> str:
        return f"https://{HOST}{self.path}"


class MediaStore:
    """The files, by path.

    Attributes:
        fetched: paths in the order in which they were asked for.
        broken: paths that answer 500.
    """

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.broken: set[str] = set()
        self._files: dict[str, bytes] = {}

    def put(self, content: bytes, kind: Kind) -> Reference:
        """Encrypt and keep what a contact sends."""
        key = secrets.token_bytes(32)
        iv, cipher_key, mac_key = _expand(key, kind)
        ciphertext = cbc_encrypt(cipher_key, iv, content)
        blob = ciphertext + hmac.digest(mac_key, iv + ciphertext, "sha256")[:_MAC]
        return Reference(
            path=self.keep(blob),
            key=key,
            plain_hash=hashlib.sha256(content).digest(),
            cipher_hash=hashlib.sha256(blob).digest(),
            size=len(content),
        )

    def break_all(self, on: bool) -> None:  # noqa: FBT001  (a switch)
        """Make every file that is there now answer 500; or none."""
        self.broken = set(self._files) if on else set()

    def keep(self, blob: bytes) -> str:
        """Keep what a bot has encrypted and uploaded; returns its path."""
        path = f"/v/{len(self._files)}-{secrets.token_hex(4)}.enc"
        self._files[path] = blob
        return path

    def fetch(self, path: str) -> bytes | None:
        """A file as it lies there; None where there is none."""
        path = bare(path)
        self.fetched.append(path)
        return self._files.get(path)

    def open(self, path: str, key: bytes, kind: Kind) -> bytes:
        """Decrypt what a bot has uploaded.

        Raises:
            ValueError: the MAC is wrong.
        """
        blob = self._files[bare(path)]
        iv, cipher_key, mac_key = _expand(key, kind)
        ciphertext, mac = blob[:-_MAC], blob[-_MAC:]
        if not hmac.compare_digest(mac, hmac.digest(mac_key, iv + ciphertext, "sha256")[:_MAC]):
            raise ValueError(f"{path}: wrong MAC")
        return cbc_decrypt(cipher_key, iv, ciphertext)


def bare(path: str) -> str:
    """A path without what clients append to it (`&hash=…` on paths that WhatsApp ends with a query)."""
    return path.partition("?")[0].partition("&")[0]


def _expand(key: bytes, kind: Kind) -> tuple[bytes, bytes, bytes]:
    keys = hkdf(key, f"WhatsApp {kind} Keys".encode(), 112)
    return keys[:16], keys[16:48], keys[48:80]
