"""A message of the API's on its whole way: gateway, bot process, neonize, WhatsApp, and its receipts back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.integration.bot.bot_process import BotProcess
from tests.support.gateway import Client, Gateways
from tests.support.net import wait_for
from tests.whatsapp.handle import WhatsApp
from tests.whatsapp.linking import link

BOT, ANA = "5511900000011", "5521988887777"
READY = 90.0  # seconds


@dataclass
class Account:
    """A client's gateway, as its bot knows it."""

    client_id: str
    url: str
    credential: Mapping[str, str]


@pytest.fixture
def shop(gateway: Gateways, whatsapp: WhatsApp, tmp_path: Path) -> Iterator[Client]:
    """A client whose bot is linked and connected."""
    client = gateway.add_client(channel="neonize")
    settings = {"quietSeconds": 0.2, "typingCharactersPerSecond": 0}
    client.integrator.post(
        f"/api/clients/{client.id}/configure", json={"settings": settings}
    ).raise_for_status()
    credential = msgspec.to_builtins(client.bot_credential)
    account = Account(client.id, gateway.services[0].url, credential)
    bot = BotProcess(tmp_path, account, "neonize", whatsapp.environment())
    try:
        link(whatsapp, bot.state, BOT)
        bot.start()
        wait_for(lambda: whatsapp.is_ready(BOT), f"connected; see {bot.log}", timeout=READY)
        yield client
    finally:
        bot.clean_up()


def read(client: Client, path: str) -> dict[str, Any]:
    reply = client.integrator.get(f"/api/clients/{client.id}{path}")
    assert reply.status_code == httpx.codes.OK, reply.text
    view: dict[str, Any] = reply.json()
    return view


def test_it_arrives_once_and_its_receipts_can_be_read(shop: Client, whatsapp: WhatsApp) -> None:
    whatsapp.contact(ANA)
    body = {"to": "+55 (21) 98888-7777", "text": "Seu pedido saiu.", "by": "system"}
    path = f"/api/clients/{shop.id}/messages/send"
    first, again = (
        shop.integrator.post(path, json=body, headers={"Idempotency-Key": "order-7"}).json() for _ in range(2)
    )
    assert first["id"] == again["id"]

    def state(wanted: str) -> bool:
        return bool(read(shop, f"/messages/send/{first['id']}")["state"] == wanted)

    wait_for(lambda: whatsapp.sent(BOT), "it is sent", timeout=READY)
    wait_for(lambda: state("delivered"), "ANA's phone has it, and the API says so", timeout=READY)
    (sent,) = whatsapp.sent(BOT)
    assert (sent.to, sent.readers, sent.text) == (ANA, [ANA], "Seu pedido saiu.")
    whatsapp.read_receipt(BOT, ANA, sent.id)
    wait_for(lambda: state("read"), "she has read it, and the API says so", timeout=READY)
    whatsapp.say(BOT, ANA, "Obrigada!")
    wait_for(lambda: len(whatsapp.sent(BOT)) > 1, "what she answers is answered", timeout=READY)
    assert [each.text for each in whatsapp.sent(BOT)] == ["Seu pedido saiu.", "echo: Obrigada!"]
