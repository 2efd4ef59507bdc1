"""`orbitbot pair`: links a client's phone from a shell on a gateway host."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from orbitbot.clients.service import ClientService
from orbitbot.contracts.pairing import PairingView, RequestPhoneCode
from orbitbot.fleet.commands import CommandService
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.live import Live
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.phone_numbers import parse_number
from orbitbot.foundation.redis import redis_client, redis_pool
from orbitbot.foundation.settings import load_settings
from orbitbot.gateway.settings import GatewaySettings
from orbitbot.pairing.service import PairingService
from orbitbot.pairing.terminal import Drawing, follow

EXIT_NOT_PAIRED: Final = 1
_AUTHOR: Final = "operator:shell"

T = TypeVar("T")


def main(client_id: str, settings_path: Path, *, phone: str, seconds: float) -> int:
    """Show codes until the phone is linked; 1 if it is not.

    Raises:
        SettingsError: the settings are missing or wrong.
        InvalidInput: no client can have this id, or no phone this number.
        NotFound: there is no such client.
        Unavailable: the database cannot be reached.
    """
    check_client_id(client_id)
    number = parse_number(phone, field="--phone") if phone else ""
    if not seconds > 0:
        raise InvalidInput("--timeout", f"{seconds:g} is not above 0")
    settings = load_settings(settings_path, GatewaySettings)
    with asyncio.Runner() as runner:
        pairing = _Pairing(runner, settings, client_id)
        try:
            pairing.open()
            done = follow(
                pairing, Drawing(sys.stdout, in_place=sys.stdout.isatty()), phone=number, seconds=seconds
            )
        finally:
            pairing.close()
    return 0 if done else EXIT_NOT_PAIRED


class _Pairing:
    """One client's pairing, straight from the database."""

    def __init__(self, runner: asyncio.Runner, settings: GatewaySettings, client_id: str) -> None:
        self._runner = runner
        self._client_id = client_id
        self._database = Database(settings.database, "pair")
        self._pool = redis_pool(settings.redis_url, settings.redis_password_file)
        live = Live(redis_client(self._pool))
        self._service = PairingService(self._database, live, CommandService(self._database, live))

    def open(self) -> None:
        """Connect.

        Raises:
            NotFound: there is no such client.
            Unavailable: the database cannot be reached.
        """
        self._run(self._database.open())
        self._run(ClientService(self._database, self._database).read(self._client_id))

    def read(self) -> PairingView:
        """How it stands."""
        return self._run(self._service.read(self._client_id))

    def begin(self) -> None:
        """Ask for a round of codes."""
        self._run(self._service.begin(self._client_id, author=_AUTHOR))

    def request_phone_code(self, number: str) -> None:
        """Ask for a code to type."""
        wanted = RequestPhoneCode(number)
        self._run(self._service.request_phone_code(self._client_id, wanted, author=_AUTHOR))

    def close(self) -> None:
        """Close the connections."""
        self._run(self._database.close())
        self._run(self._pool.disconnect())

    def _run(self, what: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(what)
