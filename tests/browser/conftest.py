"""A gateway, a real bot on the simulator whose phone is not linked, and browsers."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orbitbot.bot.channels.simulator_account import SimulatorAccount
from orbitbot.bot.channels.simulator_owner import OwnersPhone
from tests.support.browser import Browser
from tests.support.gateway import Client, Gateways
from tests.support.keys import Keys
from tests.support.net import wait_for
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer
from tests.support.stack import ORBITBOT, Service
from tests.support.upstreams import AiDouble, SpeechDouble

NUMBER = "5511912345678"


@pytest.fixture(scope="module")
def gateway(
    cluster: Cluster, redis_server: RedisServer, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateways]:
    """One gateway for a module's tests."""
    with AiDouble(keys) as ai, SpeechDouble(keys) as speech:
        database = cluster.fresh()
        redis_server.flush()
        own = Gateways(tmp_path_factory.mktemp("gateway"), database, redis_server, keys, ai, speech)
        try:
            own.start()
            yield own
        finally:
            own.close()
            cluster.drop(database)


@dataclass
class Shop:
    """A client whose bot runs here."""

    gateway: Gateways
    client: Client
    bot: Service
    phone: OwnersPhone

    def link(self) -> str:
        """A new one-time link."""
        made = self.client.integrator.post(f"/api/clients/{self.client.id}/pairing/link")
        made.raise_for_status()
        url: str = made.json()["url"]
        return url

    def pairing(self) -> dict[str, Any]:
        """How pairing stands."""
        found: dict[str, Any] = self.client.integrator.get(f"/api/clients/{self.client.id}/pairing").json()
        return found

    def wait_for(self, phase: str) -> dict[str, Any]:
        wait_for(lambda: self.pairing()["phase"] == phase, f"the phase {phase}", 40)
        return self.pairing()


@pytest.fixture
def open_shop(gateway: Gateways, tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Makes clients with bots whose phones are not linked."""
    gateway.redis.flush()
    with ExitStack() as stack:

        def make(account: SimulatorAccount | None = None, *, start: bool = True, **fields: str) -> Shop:
            client = gateway.add_client(**{"name": "Padaria Sol", **fields})
            state = tmp_path / client.id
            state.mkdir(mode=0o700)
            credential = state / "credential.json"
            made = client.bot_credential
            credential.write_text(json.dumps({"credentialId": made.credential_id, "secret": made.secret}))
            settings = tmp_path / f"{client.id}.toml"
            settings.write_text(
                f'client_id = "{client.id}"\nchannel = "simulator"\n'
                f'gateway_url = "{gateway.services[0].url}"\nstate_directory = "{state}"\n'
                f'credential_file = "{credential}"\nretry_ceiling_seconds = 0.5\n'
            )
            phone = OwnersPhone(state, NUMBER)
            phone.unlink(account)
            command = [ORBITBOT, "bot", "--settings", str(settings)]
            bot = Service(client.id, command, tmp_path / f"{client.id}.log")
            stack.callback(bot.stop)
            if start:
                bot.start()
            return Shop(gateway, client, bot, phone)

        yield make


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    """Opens browser windows, and closes them at the end."""
    with ExitStack() as stack:
        count = iter(range(100))
        yield lambda **how: stack.enter_context(Browser(tmp_path / f"browser-{next(count)}", **how))
