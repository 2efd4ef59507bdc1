"""`POST …/messages/send`: checked, queued once, given to the bot, and told how far it has got."""

from typing import Any

import httpx
import msgspec
import pytest

from orbitbot.contracts.commands import Commands, SendMessage
from orbitbot.contracts.reports import Receipt, SendOutcome
from tests.support.gateway import Client, Gateways, problem_of

ANA = "5511988887777"
AT = 1_790_000_000.0


def send(client: Client, key: str = "", **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return client.integrator.post(f"/api/clients/{client.id}/messages/send", json=body, headers=headers)


def send_file(client: Client, content: bytes, **payload: Any) -> httpx.Response:
    return client.integrator.post(
        f"/api/clients/{client.id}/messages/send",
        files={
            "payload": ("", msgspec.json.encode(payload), "application/json"),
            "file": ("x", content, "application/octet-stream"),
        },
    )


def orders(client: Client) -> list[SendMessage]:
    """What the bot is told to send."""
    reply = client.bot.get(f"/api/clients/{client.id}/commands")
    waiting = msgspec.json.decode(reply.content, type=Commands).commands
    return [msgspec.json.decode(each.order, type=SendMessage) for each in waiting]


def report(client: Client, *reports: SendOutcome | Receipt) -> None:
    body = {"reports": [msgspec.to_builtins(each) for each in reports]}
    client.bot.post(f"/api/clients/{client.id}/reports", json=body).raise_for_status()


def status(client: Client, send_id: str) -> dict[str, Any]:
    reply = client.integrator.get(f"/api/clients/{client.id}/messages/send/{send_id}")
    assert reply.status_code == httpx.codes.OK, reply.text
    return reply.json()


def test_a_message_goes_to_the_bot_and_its_way_can_be_read(gateway: Gateways, client: Client) -> None:
    queued = send(client, to="+55 (11) 98888-7777", text="seu pedido saiu")
    assert queued.status_code == httpx.codes.ACCEPTED, queued.text
    view = queued.json()
    assert (view["state"], view["to"]) == ("queued", ANA)
    (order,) = orders(client)
    assert (order.send, order.to, order.text, order.by_person) == (view["id"], ANA, "seu pedido saiu", True)
    report(client, SendOutcome(send=view["id"], state="waiting", at=AT, reason="warm_up"))
    assert (status(client, view["id"])["state"], status(client, view["id"])["reason"]) == (
        "waiting",
        "warm_up",
    )
    report(client, SendOutcome(send=view["id"], state="sent", at=AT, message_id="3EB0A"))
    assert (status(client, view["id"])["state"], status(client, view["id"])["messageId"]) == ("sent", "3EB0A")
    report(client, Receipt(message_ids=["3EB0A", "other"], state="read", at=AT + 60))
    report(client, Receipt(message_ids=["3EB0A"], state="delivered", at=AT + 90))  # comes late
    last = status(client, view["id"])
    assert (last["state"], last["readAt"] is not None, last["reason"]) == ("read", True, "")


def test_the_same_key_gives_the_same_message_and_another_body_is_refused(client: Client) -> None:
    first, again = send(client, "k1", to=ANA, text="oi"), send(client, "k1", to=ANA, text="oi")
    assert first.json()["id"] == again.json()["id"]
    assert len(orders(client)) == 1
    problem_of(send(client, "k1", to=ANA, text="outra coisa"), httpx.codes.CONFLICT)


def test_messages_do_not_take_each_others_place(client: Client) -> None:
    send(client, to=ANA, text="um")
    send(client, to=ANA, text="dois")
    assert [each.text for each in orders(client)] == ["um", "dois"]


def test_a_file_waits_for_the_bot_and_goes_when_it_is_sent(gateway: Gateways, client: Client) -> None:
    content = b"%PDF-1.7 " + bytes(range(256)) * 100
    view = send_file(
        client,
        content,
        to=ANA,
        type="document",
        fileName="nota.pdf",
        mediaType="application/pdf",
        text="a nota",
    ).json()
    (order,) = orders(client)
    assert (order.type, order.file_name, order.media_size) == ("document", "nota.pdf", len(content))
    path = f"/api/clients/{client.id}/messages/send/{view['id']}/file"
    assert client.bot.get(path).content == content
    problem_of(client.integrator.get(path), httpx.codes.FORBIDDEN)
    report(client, SendOutcome(send=view["id"], state="sent", at=AT, message_id="3EB0A"))
    problem_of(client.bot.get(path), httpx.codes.NOT_FOUND)


def test_a_person_who_writes_pauses_the_chat_and_a_notification_does_not(
    gateway: Gateways, client: Client
) -> None:
    send(client, to=ANA, text="aviso", by="system")
    path = f"/api/clients/{client.id}/pauses"
    assert client.integrator.get(path).json()["pauses"] == []
    send(client, to=ANA, text="aqui é o Beto")
    assert [each["contact"] for each in client.integrator.get(path).json()["pauses"]] == [ANA]
    said = gateway.sql("SELECT answer FROM exchanges WHERE client_id = %s AND source = 'person'", client.id)
    assert said == [("aqui é o Beto",)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"to": "12", "text": "oi"}, "to"),
        ({"to": "x@y.z", "text": "oi"}, "to"),
        ({"to": ANA}, "text"),
        ({"to": ANA, "text": "oi", "latitude": 1.0}, "latitude"),
        ({"to": ANA, "type": "location", "latitude": 1.0}, "longitude"),
        ({"to": ANA, "type": "location", "latitude": 91.0, "longitude": 1.0}, "latitude"),
        ({"to": ANA, "type": "reaction", "text": "👍"}, "target"),
        ({"to": ANA, "type": "image"}, "file"),
        ({"to": ANA, "type": "carrier-pigeon"}, "type"),
        ({"to": ANA, "text": "oi", "surprise": 1}, "surprise"),
        ({"to": ANA, "text": "x" * 4001}, "text"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(client: Client, body: dict[str, Any], field: str) -> None:
    problem = problem_of(send(client, **body), httpx.codes.BAD_REQUEST)
    assert field in str(problem["errors"])


def test_a_voice_note_is_an_ogg_file(client: Client) -> None:
    problem = problem_of(send_file(client, b"RIFF....", to=ANA, type="voice"), httpx.codes.BAD_REQUEST)
    assert "Ogg" in str(problem["errors"])


def test_another_clients_token_opens_nothing(gateway: Gateways, client: Client) -> None:
    other = gateway.add_client()
    view = send(client, to=ANA, text="oi").json()
    base = f"/api/clients/{client.id}/messages/send"
    problem_of(other.integrator.post(base, json={"to": ANA, "text": "oi"}), httpx.codes.FORBIDDEN)
    problem_of(other.integrator.get(f"{base}/{view['id']}"), httpx.codes.FORBIDDEN)
    problem_of(other.bot.get(f"{base}/{view['id']}/file"), httpx.codes.FORBIDDEN)
    problem_of(client.bot.post(base, json={"to": ANA, "text": "oi"}), httpx.codes.FORBIDDEN)


def test_how_a_number_does_is_told_with_advice(gateway: Gateways, client: Client) -> None:
    path = f"/api/clients/{client.id}/health"
    problem_of(client.integrator.get(path), httpx.codes.NOT_FOUND)
    told = {"state": "restricted", "channel": "neonize", "release": "1", "number": ANA, "until": AT + 6e8,
            "newChats": 3, "newChatsLimit": 10, "reconnects": 2, "undelivered": 1}  # fmt: skip
    client.bot.put(f"/api/clients/{client.id}/bot", json=told).raise_for_status()
    health = client.integrator.get(path).json()
    assert (health["newChats"], health["newChatsLimit"], health["reconnects"]) == (3, 10, 2)
    assert health["restrictedUntil"] is not None
    assert (health["trouble"], "conversas novas" in health["advice"]) == ("restricted", True)
    settings = client.bot.put(f"/api/clients/{client.id}/bot", json={**told, "state": "connected"}).json()
    assert ANA not in settings["fleetNumbers"]
    assert client.integrator.get(path).json()["advice"] == "Tudo bem: não há nada a fazer."
    client.integrator.patch(f"/api/clients/{client.id}", json={"language": "en"}).raise_for_status()
    assert client.integrator.get(path).json()["advice"] == "All is well: there is nothing to do."
