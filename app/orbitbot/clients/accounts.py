"""Who may have an access token: operators by password, bots and integrators by credential.

An operator's password is hashed with argon2. A credential's secret is 256 random bits, which no
dictionary helps against: one SHA-256 is enough, and costs nothing at every renewal.
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from typing import Final

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from orbitbot.clients import store
from orbitbot.contracts.auth import TokenRequest, TokenResponse
from orbitbot.contracts.clients import CredentialCreated, CredentialKind
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import InvalidInput, Superseded, Unauthenticated
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.tokens import Principal, TokenSigner

AUDIENCE: Final = "gateway"
BOT_LIFETIME: Final = 300  # seconds
USER_LIFETIME: Final = 3600  # seconds, of operators' and integrators' tokens
REVOCATION_DELAY: Final = 4.0  # seconds for which a token's version is remembered
MAX_INPUT: Final = 1000  # characters of a name, password or secret
_CACHE_SIZE: Final = 10_000
_PARALLEL_HASHES: Final = 2  # argon2 takes 64 MiB and a core each
_KINDS: Final[dict[str, tuple[str, str, int]]] = {  # credential → subject prefix, scope, lifetime
    "bot": ("bot", "bot", BOT_LIFETIME),
    "integrator": ("client", "client", USER_LIFETIME),
}


def new_credential(client_id: str, kind: CredentialKind) -> tuple[CredentialCreated, str]:
    """A credential whose id tells its kind and client, and the hash to store of its secret."""
    secret = secrets.token_urlsafe(32)
    credential_id = f"{kind}.{client_id}.{secrets.token_hex(8)}"
    return CredentialCreated(credential_id=credential_id, secret=secret), hash_secret(secret)


def hash_secret(secret: str) -> str:
    """SHA-256 of a credential's secret, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


class _Standing(msgspec.Struct, frozen=True):
    """What the database says of a token's subject: its version, or None when it is gone; and which generation
    of its client's lease is in force."""

    version: int | None
    generation: int
    known_until: float


class Accounts:
    """Exchanges passwords and credentials for tokens, and tells which tokens were revoked."""

    def __init__(self, database: Database, operator_database: Database, signer: TokenSigner) -> None:
        self._database = database
        self._operators = operator_database
        self._signer = signer
        self._hasher = PasswordHasher()
        self._no_such_user = self._hasher.hash(secrets.token_urlsafe(16))
        self._hashing = asyncio.Semaphore(_PARALLEL_HASHES)
        self._standing: dict[tuple[str, str | None], _Standing] = {}

    @property
    def hashing(self) -> asyncio.Semaphore:
        """Held around a password's verification: checks of a limit inside it cannot be outrun."""
        return self._hashing

    async def exchange(self, given: TokenRequest, generation: int | None = None) -> TokenResponse:
        """A token for a right password or credential.

        Args:
            generation: that a bot shows; None where the caller shows none.

        Raises:
            Unauthenticated: it is not right; the answer does not tell what is wrong with it.
            InvalidInput: a field the grant needs is missing or far too long.
            Superseded: the credential was this bot's, and its lease has gone to another host.
        """
        needed = (
            ("username", "password") if given.grant_type == "password" else ("client_id", "client_secret")
        )
        for field in needed:
            if not 0 < len(getattr(given, field)) <= MAX_INPUT:
                raise InvalidInput(field, f"must have 1 to {MAX_INPUT} characters")
        if given.grant_type == "password":
            return await self._by_password(given.username, given.password)
        return await self._by_credential(given.client_id, given.client_secret, generation)

    async def _by_password(self, name: str, password: str) -> TokenResponse:
        found = None
        if "\0" not in name:
            async with self._operators.transaction() as connection:
                found = await store.read_operator(connection, name)
        password_hash, version = found or (self._no_such_user, 0)
        try:
            await asyncio.to_thread(self._hasher.verify, password_hash, password)
        except (VerificationError, InvalidHashError) as error:
            raise Unauthenticated("user name or password is wrong") from error
        if found is None:
            raise Unauthenticated("user name or password is wrong")
        scopes = frozenset({"operator"})
        token = self._signer.sign(
            subject=f"operator:{name}",
            audience=AUDIENCE,
            scopes=scopes,
            lifetime=USER_LIFETIME,
            version=version,
        )
        return TokenResponse(access_token=token, expires_in=USER_LIFETIME, scope="operator")

    async def _by_credential(self, credential_id: str, secret: str, generation: int | None) -> TokenResponse:
        refused = Unauthenticated("credential id or secret is wrong, or the credential was revoked")
        kind, client_id, *_ = [*credential_id.split("."), "", ""]
        try:
            check_client_id(client_id)
        except InvalidInput as error:
            raise refused from error
        if kind not in _KINDS or not credential_id.isprintable():
            raise refused
        async with self._database.client(client_id) as connection:
            credential = await store.read_credential(connection, credential_id)
        stored = credential.secret_hash if credential else ""
        right = hmac.compare_digest(stored, hash_secret(secret))
        if not right or credential is None or credential.client_state == "removed":
            raise refused
        if credential.revoked:
            # The bot of a host that was taken for dead had it, and has to learn that it ends.
            if kind == "bot" and generation is not None:
                _refuse_earlier(generation, credential.generation)
            raise refused
        subject, scope, lifetime = _KINDS[credential.kind]
        token = self._signer.sign(
            subject=f"{subject}:{client_id}",
            audience=AUDIENCE,
            scopes=frozenset({scope}),
            lifetime=lifetime,
            client_id=client_id,
            version=credential.token_version,
            credential_id=credential.id,
        )
        return TokenResponse(access_token=token, expires_in=lifetime, scope=scope)

    async def check(self, principal: Principal, generation: int | None = None) -> None:
        """Refuse a token that verifies but was revoked, and a bot whose lease has gone to another host.

        Either takes effect at most `REVOCATION_DELAY` after the fact.

        Args:
            generation: that a bot shows; None where the caller shows none.

        Raises:
            Unauthenticated: its subject is gone, its version is not the present one, or its credential
                was revoked.
            Superseded: the generation is lower than its client's.
        """
        key = (principal.subject, principal.credential_id)
        standing = self._standing.get(key)
        now = time.monotonic()
        if standing is None or standing.known_until < now:
            version, in_force = await self._version(principal)
            standing = _Standing(version, in_force, now + REVOCATION_DELAY)
            if len(self._standing) >= _CACHE_SIZE:
                self._standing.clear()
            self._standing[key] = standing
        if standing.version is None or standing.version != principal.version:
            raise Unauthenticated("the token was revoked")
        if generation is not None:
            _refuse_earlier(generation, standing.generation)

    def forget(self) -> None:
        """Look everything up again: something was revoked through this very process."""
        self._standing.clear()

    async def _version(self, principal: Principal) -> tuple[int | None, int]:
        kind, _, name = principal.subject.partition(":")
        if kind == "operator":
            async with self._operators.transaction() as connection:
                return await store.read_operator_version(connection, name), 0
        if principal.client_id is None or principal.credential_id is None:
            return None, 0
        async with self._database.client(principal.client_id) as connection:
            credential = await store.read_credential(connection, principal.credential_id)
        if credential is None or credential.revoked or credential.client_state == "removed":
            return None, 0
        return credential.token_version, credential.generation


def _refuse_earlier(generation: int, in_force: int) -> None:
    if generation < in_force:
        raise Superseded(f"generation {generation} has ended: {in_force} is in force, on another host")
