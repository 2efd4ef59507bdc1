"""What bots tell of edits, of people at the phone, of contacts with two names, and what becomes of it."""

from typing import Any

import httpx
import msgspec

from orbitbot.contracts.reports import (
    Changed,
    Delivery,
    Report,
    Resumed,
    SameContact,
    SetAside,
    TakenOver,
)
from tests.support.gateway import Client, Gateways, answer_of

ANA, LID = "5511988887777", "95511988887777@lid"
AT = 1_790_000_000.0


def report(client: Client, *reports: Report) -> None:
    body = {"reports": [msgspec.to_builtins(each) for each in reports]}
    reply = client.bot.post(f"/api/clients/{client.id}/reports", json=body)
    assert reply.status_code == httpx.codes.OK, reply.text


def memory(gateway: Gateways, client: Client) -> list[tuple[str, str]]:
    """What the assistant remembers of a contact, as its history query reads it."""
    return gateway.sql(
        "SELECT coalesce(c.question, e.question), coalesce(c.answer, e.answer) FROM exchanges e"
        " LEFT JOIN turn_changes c ON c.client_id = e.client_id AND c.turn_id = e.turn_id"
        " WHERE e.client_id = %s AND NOT coalesce(c.hidden, false) ORDER BY e.created_at",
        client.id,
    )


def post(client: Client, key: str, text: str, message_id: str, **more: Any) -> httpx.Response:
    member = {"id": message_id, "type": "text", "sentAt": AT, "journaledAt": AT, "text": text}
    body = {"message": text, "type": "text", "from": more.pop("contact", ANA), "members": [member], **more}
    return client.bot.post(f"/api/clients/{client.id}/messages", json=body, headers={"Idempotency-Key": key})


def exchange(  # noqa: PLR0917  (a row)
    gateway: Gateways, client: Client, turn: str, question: str, answer: str, contact: str = ANA
) -> None:
    """What the AI service stores; the gateway's tests run with its double."""
    gateway.sql(
        "INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source)"
        " VALUES (%s, %s, %s, %s, %s, '', 'faq') RETURNING 1",
        client.id, turn, contact, question, answer,
    )  # fmt: skip


def states(gateway: Gateways, client: Client) -> dict[str, tuple[str, str]]:
    rows = gateway.sql("SELECT id, state, reason FROM turns WHERE client_id = %s", client.id)
    return {turn: (state, reason) for turn, state, reason in rows}


def test_a_turn_takes_the_place_of_one_whose_message_was_edited(gateway: Gateways, client: Client) -> None:
    assert post(client, "t1", "às 5", "M1").status_code == httpx.codes.OK
    exchange(gateway, client, "t1", "às 5", "echo: às 5")
    again = post(client, "t2", "às 6", "M1", replaces=["t1"])
    assert answer_of(again).response == "echo: às 6"
    exchange(gateway, client, "t2", "às 6", "echo: às 6")
    assert states(gateway, client) == {"t1": ("silenced", "edited"), "t2": ("answered", "")}
    assert gateway.sql("SELECT turn_id FROM messages WHERE client_id = %s", client.id) == [("t2",)]
    assert memory(gateway, client) == [("às 6", "echo: às 6")]


def test_a_message_does_not_move_without_being_named(gateway: Gateways, client: Client) -> None:
    post(client, "t1", "às 5", "M1")
    assert post(client, "t2", "às 6", "M1").status_code == httpx.codes.CONFLICT
    assert post(client, "t3", "às 6", "M1", replaces=["t9"]).status_code == httpx.codes.CONFLICT


def test_an_edit_after_the_answer_changes_what_is_remembered(gateway: Gateways, client: Client) -> None:
    post(client, "t1", "oi\nàs 5", "M1")
    exchange(gateway, client, "t1", "oi\nàs 5", "echo")
    edit = Changed(message_id="M1", turn="t1", old="às 5", new="às 6", at=AT)
    report(client, edit, edit)
    assert memory(gateway, client)[0][0].split("\n")[:2] == ["oi", "às 6"]
    report(client, Changed(message_id="M1", turn="t1", old="oi", new="", at=AT))
    assert "oi" not in memory(gateway, client)[0][0].split("\n")


def test_a_person_at_the_phone_is_remembered_and_the_chat_paused(gateway: Gateways, client: Client) -> None:
    post(client, "t1", "quero falar", "M1")
    exchange(gateway, client, "t1", "quero falar", "um momento. já vejo.")
    taken = TakenOver(contact=ANA, message_id="P1", text="Oi, aqui é o Beto", at=AT + 4e8, minutes=30.0)
    given_up = Delivery(turn="t1", state="silenced", at=AT, reason="human_took_over", sent="um momento.")
    report(client, given_up, taken)
    report(client, given_up, taken)  # harmless
    assert states(gateway, client)["t1"] == ("silenced", "human_took_over")
    assert sorted(memory(gateway, client)) == [("", "Oi, aqui é o Beto"), ("quero falar", "um momento.")]
    (pause,) = client.integrator.get(f"/api/clients/{client.id}/pauses").json()["pauses"]
    assert (pause["contact"], pause["author"]) == (ANA, "phone")
    report(client, Resumed(contact=ANA, at=AT))
    assert client.integrator.get(f"/api/clients/{client.id}/pauses").json()["pauses"] == []


def test_a_longer_pause_stays(gateway: Gateways, client: Client) -> None:
    client.integrator.put(f"/api/clients/{client.id}/contacts/{ANA}/pause", json={}).raise_for_status()
    report(client, TakenOver(contact=ANA, message_id="P1", text="oi", at=AT, minutes=1.0))
    (pause,) = client.integrator.get(f"/api/clients/{client.id}/pauses").json()["pauses"]
    assert pause["until"] is None


def test_what_is_not_answered_is_remembered(gateway: Gateways, client: Client) -> None:
    aside = SetAside(
        message_id="M1", from_=ANA, type="text", sent_at=AT, journaled_at=AT, reason="not_answered", at=AT,
        text="[reagiu com 👍]",
    )  # fmt: skip
    report(client, aside, aside)
    assert memory(gateway, client) == [("[reagiu com 👍]", "")]


def test_two_names_become_one_contact_with_all_its_history(gateway: Gateways, client: Client) -> None:
    post(client, "t1", "oi", "M1", contact=LID)
    exchange(gateway, client, "t1", "oi", "echo: oi", contact=LID)
    post(client, "t2", "de novo", "M2")
    exchange(gateway, client, "t2", "de novo", "echo: de novo")
    client.integrator.put(f"/api/clients/{client.id}/contacts/{LID}/facts", json={"facts": ["gosta de café"]})
    same = SameContact(contact=ANA, other=LID, at=AT)
    report(client, same, same)
    kept = client.integrator.get(f"/api/clients/{client.id}/contacts/{ANA}").json()
    other = client.integrator.get(f"/api/clients/{client.id}/contacts/{LID}").json()
    assert [each["id"] for each in kept["turns"]] == ["t1", "t2"]
    assert [each["question"] for each in kept["exchanges"]] == ["oi", "de novo"]
    assert kept["facts"] == ["gosta de café"]
    assert (other["turns"], other["exchanges"], other["facts"]) == ([], [], [])


def test_an_erased_contact_is_gone_from_the_new_tables_too(gateway: Gateways, client: Client) -> None:
    post(client, "t1", "oi", "M1")
    report(client, Delivery(turn="t1", state="delivered", at=AT))
    report(client, Changed(message_id="M1", turn="t1", old="oi", new="olá", at=AT))
    client.integrator.post(
        f"/api/clients/{client.id}/messages/send",
        json={"to": ANA, "text": "seu pedido saiu", "by": "system"},
    ).raise_for_status()
    erased = client.integrator.delete(f"/api/clients/{client.id}/contacts/{ANA}").json()
    assert (erased["counts"]["turn_changes"], erased["counts"]["sends"], erased["remaining"]) == (1, 1, 0)
