"""Commands of admin numbers in the chat: in the client's language, confirmed where that matters, kept."""

import re

import httpx
import pytest

from tests.support.gateway import Client, Gateways, answer_of, problem_of

ADMIN, ANA = "5511900000099", "5511988887777"


@pytest.fixture
def owned(gateway: Gateways, client: Client) -> Client:
    """A client with an admin number and two versions of its personality."""
    for personality in ("Você é gentil.", "Você é breve."):
        body = {
            "personality": personality,
            "settings": {"plugins": {"admin": {"enabled": True, "numbers": ["+55 (11) 90000-0099"]}}},
        }
        client.integrator.post(f"/api/clients/{client.id}/configure", json=body).raise_for_status()
    return client


def say(client: Client, text: str, contact: str = ADMIN, key: str = "") -> str:
    return answer_of(client.post(text, contact=contact, key=key)).response


def commands(gateway: Gateways, client: Client) -> list[tuple[str, str]]:
    return gateway.sql(
        "SELECT command, outcome FROM owner_commands WHERE client_id = %s ORDER BY at", client.id
    )


def test_nobody_else_commands(gateway: Gateways, owned: Client) -> None:
    assert say(owned, "/status", contact=ANA) == "echo: /status"
    assert say(owned, "status") == "echo: status"
    assert say(owned, "/dance") == "echo: /dance"
    assert commands(gateway, owned) == []


def test_status_and_figures(gateway: Gateways, owned: Client) -> None:
    assert "sinal de vida" in say(owned, "/status")
    told = {"state": "connected", "channel": "neonize", "release": "1", "number": ADMIN, "newChats": 3}
    owned.bot.put(f"/api/clients/{owned.id}/bot", json=told).raise_for_status()
    status = say(owned, "/estado")
    assert "Bot: connected" in status
    assert "Conversas novas hoje: 3 de 0" in status
    assert "Últimos 30 dias" in say(owned, "/stats 30")
    assert "Não entendi" in say(owned, "/stats ontem")
    assert commands(gateway, owned) == [
        ("status", "done"), ("status", "done"), ("stats", "done"), ("stats", "refused"),
    ]  # fmt: skip


def test_a_personality_is_shown_listed_and_changed_back_after_a_confirmation(
    gateway: Gateways, owned: Client
) -> None:
    assert say(owned, "/personality show") == "Você é breve."
    assert say(owned, "/personalidade show 1") == "Você é gentil."
    assert "(em uso)" in say(owned, "/personality list")
    asked = say(owned, "/personality use 1", key="t1")
    assert say(owned, "/personality use 1", key="t1") == asked  # the same turn again
    assert say(owned, "/personality") == "Você é breve."
    (code,) = re.findall(r"/confirm (\d{4})", asked)
    assert "nada a confirmar" in say(owned, "/confirm 99999")
    assert "versão 1" in say(owned, f"/confirm {code}")
    assert say(owned, "/personality") == "Você é gentil."
    assert "nada a confirmar" in say(owned, f"/confirm {code}")
    assert ("personality", "confirmed") in commands(gateway, owned)
    versions = owned.integrator.get(f"/api/clients/{owned.id}/versions").json()["versions"]
    assert versions[0]["author"] == f"admin:{ADMIN}"
    assert "Não deu" in say(owned, "/personality use 77")


def test_the_model_changes_after_a_confirmation(owned: Client) -> None:
    assert say(owned, "/model") == "Modelo: o do operador"
    (code,) = re.findall(r"/confirm (\d{4})", say(owned, "/model other/model"))
    assert "other/model" in say(owned, f"/confirmar {code}")
    assert say(owned, "/modelo") == "Modelo: other/model"


def test_plugins_are_switched_on_at_once_and_off_after_a_confirmation(owned: Client) -> None:
    assert say(owned, "/plugins") == "Plugins:\nadmin: ligado\nknown: desligado"
    assert "known está ligado" in say(owned, "/plugins on known")
    (code,) = re.findall(r"/confirm (\d{4})", say(owned, "/plugins off known"))
    assert "known: ligado" in say(owned, "/plugins")
    assert "known está desligado" in say(owned, f"/confirm {code}")
    assert "known: desligado" in say(owned, "/plugins")
    assert "Não deu" in say(owned, "/plugins on nonsense")


def test_a_contacts_history(gateway: Gateways, owned: Client) -> None:
    gateway.sql(
        "INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source)"
        " VALUES (%s, 't9', %s, 'tem pão?', 'Tem sim.', '', 'faq') RETURNING 1",
        owned.id,
        ANA,
    )
    history = say(owned, "/history +55 11 98888-7777")
    assert "tem pão?" in history
    assert "→ Tem sim." in history
    assert "Não há mensagens" in say(owned, "/history 5511000000000")


def test_a_backup_is_asked_for_and_help_names_everything(gateway: Gateways, owned: Client) -> None:
    assert "nenhuma cópia começa" in say(owned, "/backup")
    events = owned.integrator.get(f"/api/clients/{owned.id}/events").json()["events"]
    assert [each["kind"] for each in events] == ["backup_asked"]
    named = say(owned, "/help")
    for name in (
        "status",
        "stats",
        "personality",
        "model",
        "plugins",
        "history",
        "pause",
        "resume",
        "backup",
    ):
        assert f"/{name}" in named


def test_what_was_commanded_can_be_read_by_the_clients_people(gateway: Gateways, owned: Client) -> None:
    say(owned, "/personality use 1", key="t1")
    say(owned, "/stats ontem", key="t2")
    path = f"/api/clients/{owned.id}/admin-commands"
    told = owned.integrator.get(path).json()
    assert [(each["turn"], each["contact"], each["command"], each["arguments"], each["outcome"])
            for each in told["commands"]] == [
        ("t2", ADMIN, "stats", "ontem", "refused"), ("t1", ADMIN, "personality", "use 1", "asked"),
    ]  # fmt: skip
    assert told["before"] is None
    older = owned.integrator.get(path, params={"before": told["commands"][0]["at"]}).json()
    assert [each["turn"] for each in older["commands"]] == ["t1"]
    problem_of(owned.integrator.get(path, params={"before": "gestern"}), httpx.codes.BAD_REQUEST)
    problem_of(owned.integrator.get(path, params={"before": "2026-11-30"}), httpx.codes.BAD_REQUEST)
    problem_of(owned.bot.get(path), httpx.codes.FORBIDDEN)
    problem_of(gateway.add_client().integrator.get(path), httpx.codes.FORBIDDEN)


def test_what_was_shown_of_an_erased_contact_goes_too(gateway: Gateways, owned: Client) -> None:
    gateway.sql(
        "INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source)"
        " VALUES (%s, 't9', %s, 'minha alergia', 'Anotado.', '', 'faq')",
        owned.id,
        ANA,
    )
    assert "minha alergia" in say(owned, "/history +55 11 98888-7777", key="t1")
    say(owned, "/status", key="t2")
    owned.integrator.delete(f"/api/clients/{owned.id}/contacts/{ANA}").raise_for_status()
    kept = gateway.sql("SELECT id, message || response FROM turns WHERE client_id = %s ORDER BY id", owned.id)
    assert kept[0] == ("t1", "")
    assert "/status" in kept[1][1]
    assert commands(gateway, owned) == [("status", "done")]


def test_in_the_clients_language(owned: Client) -> None:
    owned.integrator.patch(f"/api/clients/{owned.id}", json={"language": "en"}).raise_for_status()
    assert say(owned, "/model") == "Model: the operator's"
