"""Access tokens: JWTs by RFC 8725 (and typed as in RFC 9068), signed with Ed25519.

The gateway alone holds the private key; every other service verifies with the public one. The
algorithm, type, issuer, audience and expiry are fixed here and always checked.
"""

import hashlib
import time
import uuid
from collections.abc import Callable
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from orbitbot.foundation.errors import Unauthenticated

ISSUER: Final = "orbitbot"
ALGORITHM: Final = "EdDSA"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105  (a media type, RFC 9068)
INTERNAL_LIFETIME: Final = 300  # seconds; the longest life of a token between services
LEEWAY: Final = 5  # seconds of clock difference between hosts that are forgiven
_CACHE_SIZE: Final = 10_000  # verified tokens kept per process


class Principal(msgspec.Struct, frozen=True):
    """Who a verified token speaks for.

    Attributes:
        subject: `operator:NAME`, `client:ID`, `bot:ID` or `service:NAME`.
        scopes: what it may do: `operator`, `client`, `bot`, or `service`.
        client_id: the one client it opens, or None for an operator or a service.
        version: token version of the subject at signing; a higher stored one revokes the token.
        expires_at: Unix time, seconds.
        credential_id: the stored credential it was issued for, if any.
    """

    subject: str
    scopes: frozenset[str]
    client_id: str | None
    version: int
    expires_at: int
    credential_id: str | None = None


class TokenSigner:
    """Issues tokens; only the gateway makes one of these."""

    def __init__(self, private_key_pem: str, now: Callable[[], float] = time.time) -> None:
        self._key = load_pem_private_key(private_key_pem.encode(), password=None)
        self._now = now

    def sign(
        self,
        *,
        subject: str,
        audience: str,
        scopes: frozenset[str],
        lifetime: int = INTERNAL_LIFETIME,
        client_id: str | None = None,
        version: int = 0,
        credential_id: str | None = None,
    ) -> str:
        """A signed token for `audience` (`gateway`, `ai` or `speech`), valid for `lifetime` seconds."""
        now = int(self._now())
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "ver": version,
            "iat": now,
            "exp": now + lifetime,
            "jti": uuid.uuid4().hex,
        }
        if client_id is not None:
            claims["client"] = client_id
        if credential_id is not None:
            claims["cred"] = credential_id
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"typ": TOKEN_TYPE})  # type: ignore[arg-type]


class TokenVerifier:
    """Verifies tokens for one audience and remembers verified ones until they expire.

    The cache is keyed by the token's SHA-256, so that no token is kept in memory as such.
    """

    def __init__(self, public_key_pem: str, audience: str, now: Callable[[], float] = time.time) -> None:
        self._key = load_pem_public_key(public_key_pem.encode())
        self._audience = audience
        self._now = now
        self._verified: dict[bytes, Principal] = {}

    def verify(self, token: str) -> Principal:
        """The principal that `token` speaks for.

        Raises:
            Unauthenticated: bad signature, wrong algorithm, type, issuer or audience, or expired.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None and known.expires_at > self._now():
            return known
        principal = self._decode(token)
        if len(self._verified) >= _CACHE_SIZE:
            self._verified.clear()
        self._verified[digest] = principal
        return principal

    def _decode(self, token: str) -> Principal:
        try:
            decoded = jwt.decode_complete(
                token,
                self._key,  # type: ignore[arg-type]
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": ["iss", "aud", "sub", "exp", "iat", "jti"], "strict_aud": True},
            )
            if decoded["header"].get("typ") != TOKEN_TYPE:
                raise Unauthenticated("the token is not an access token")
            claims = decoded["payload"]
            return Principal(
                subject=claims["sub"],
                scopes=frozenset(claims.get("scope", "").split()),
                client_id=claims.get("client"),
                version=int(claims.get("ver", 0)),
                expires_at=int(claims["exp"]),
                credential_id=claims.get("cred"),
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired") from error
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError) as error:
            raise Unauthenticated("the token does not verify") from error
