"""The bot's access token: its stored credential exchanged for a short-lived one."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.bot.http import Http, Reply
from orbitbot.contracts.auth import TokenRequest, TokenResponse
from orbitbot.contracts.bot import GENERATION_HEADER
from orbitbot.contracts.clients import CredentialCreated
from orbitbot.foundation.errors import SettingsError

RENEW_BEFORE: Final = 30.0  # seconds before it expires


class TokenRefused(Exception):
    """The gateway did not give a token; `reply` is what it said."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"the gateway answered {reply.status} to the credential")
        self.reply = reply


class AccessTokens:
    """Gives a valid token, and asks for a new one only when it must.

    Args:
        generation: of the lease that this process runs on.
    """

    def __init__(
        self,
        http: Http,
        credential_file: Path,
        generation: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._credential_file = credential_file
        self._generation = str(generation)
        self._monotonic = monotonic
        self._token = ""
        self._renew_at = 0.0
        self._exchange = asyncio.Lock()

    async def get(self) -> str:
        """A token that is valid for a while yet.

        Raises:
            SettingsError: the credential file is missing or not one.
            TokenRefused: the gateway gave none.
            Unreachable: the gateway is away.
        """
        async with self._exchange:  # many turns need one token, not one each
            if not self._token or self._monotonic() >= self._renew_at:
                await self._renew()
            return self._token

    def forget(self, token: str) -> None:
        """Drop a token that the gateway no longer takes, unless it was replaced meanwhile."""
        if token == self._token:
            self._token = ""

    async def _renew(self) -> None:
        credential = read_credential(self._credential_file)
        request = TokenRequest(
            grant_type="client_credentials",
            client_id=credential.credential_id,
            client_secret=credential.secret,
        )
        asked_at = self._monotonic()
        reply = await self._http.request(
            "POST",
            "/api/auth/token",
            headers={"Content-Type": "application/json", GENERATION_HEADER: self._generation},
            body=msgspec.json.encode(request),
        )
        if reply.status != 200:  # noqa: PLR2004
            raise TokenRefused(reply)
        try:
            token = msgspec.json.decode(reply.body, type=TokenResponse)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TokenRefused(reply) from error
        self._token = token.access_token
        self._renew_at = asked_at + token.expires_in - RENEW_BEFORE


def read_credential(path: Path) -> CredentialCreated:
    """The stored credential.

    Raises:
        SettingsError: it cannot be read, or is not one. The message never holds the secret.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=CredentialCreated)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SettingsError(f"{path}: not a credential") from None
