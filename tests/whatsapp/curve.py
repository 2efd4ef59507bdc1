"""Curve25519 as Signal and WhatsApp use it: key pairs, agreement, and XEdDSA signatures (a Curve25519 key
that signs like Ed25519; signal.org/docs/specifications/xeddsa).
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

DJB: Final = b"\x05"  # the type byte that Signal puts before a public key

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, _P - 2, _P) % _P

_Point = tuple[int, int, int, int]


@dataclass(frozen=True)
class KeyPair:
    """A private key and its public key, 32 bytes each."""

    private: bytes
    public: bytes

    @classmethod
    def new(cls) -> "KeyPair":
        return cls.of(X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def of(cls, private: bytes) -> "KeyPair":
        return cls(private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())

    @property
    def typed_public(self) -> bytes:
        """33 bytes: with Signal's type byte before it."""
        return DJB + self.public

    def agree(self, public: bytes) -> bytes:
        """The secret shared with the owner of `public`."""
        own = X25519PrivateKey.from_private_bytes(self.private)
        return own.exchange(X25519PublicKey.from_public_bytes(public))

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of an XEdDSA signature."""
        clamped = bytearray(self.private)
        clamped[0] &= 248
        clamped[31] = clamped[31] & 127 | 64
        scalar = int.from_bytes(clamped, "little")
        own = _compress(_multiply(_BASE, scalar % _ORDER))
        prefix = b"\xfe" + b"\xff" * 31
        nonce = _hash(prefix, bytes(clamped), message, secrets.token_bytes(64)) % _ORDER
        commitment = _compress(_multiply(_BASE, nonce))
        answer = (nonce + _hash(commitment, own, message) * scalar) % _ORDER
        signature = bytearray(commitment + answer.to_bytes(32, "little"))
        signature[63] = signature[63] & 127 | own[31] & 128
        return bytes(signature)


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Check an XEdDSA signature by a Curve25519 public key.

    Raises:
        cryptography.exceptions.InvalidSignature: it is not this key's signature of this message.
    """
    u = int.from_bytes(public, "little") % _P
    y = (u - 1) * pow(u + 1, _P - 2, _P) % _P
    edwards = bytearray(y.to_bytes(32, "little"))
    edwards[31] |= signature[63] & 128
    plain = bytearray(signature)
    plain[63] &= 127
    Ed25519PublicKey.from_public_bytes(bytes(edwards)).verify(bytes(plain), message)


def hkdf(secret: bytes, info: bytes, length: int, salt: bytes = b"") -> bytes:
    """HKDF with SHA-256 (RFC 5869)."""
    key = hmac.digest(salt or bytes(32), secret, "sha256")
    output = block = b""
    counter = 1
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        output, counter = output + block, counter + 1
    return output[:length]


def _hash(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def _x_of(y: int) -> int:
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    return _P - x if x & 1 else x


def _add(a: _Point, b: _Point) -> _Point:
    e = (a[1] + a[0]) * (b[1] + b[0]) - (a[1] - a[0]) * (b[1] - b[0])
    h = (a[1] + a[0]) * (b[1] + b[0]) + (a[1] - a[0]) * (b[1] - b[0])
    c = 2 * a[3] * b[3] * _D
    d = 2 * a[2] * b[2]
    f, g = d - c, d + c
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(point: _Point, scalar: int) -> _Point:
    result: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _compress(point: _Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE_Y: Final = 4 * pow(5, _P - 2, _P) % _P
_BASE: Final[_Point] = (_x_of(_BASE_Y), _BASE_Y, 1, _x_of(_BASE_Y) * _BASE_Y % _P)
