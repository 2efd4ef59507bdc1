"""Drafts tried side by side, saved questions, and clients' own keys; no contact's history is touched."""

from typing import Any

import pytest

from tests.support.ai import KEY, Ai
from tests.support.net import wait_for
from tests.support.openai_server import _Handler, says

pytestmark = pytest.mark.integration


def ask(ai: Ai, action: str, client: str, status: int = 200, *, name: str = "", body: Any = None) -> Any:
    given = {"clientId": client, "author": "client:test", "name": name, "body": body}
    answer = ai.http.post(f"/api/trying/{action}", json=given)
    assert answer.status_code == status, answer.text
    return answer.json()


def by_personality(handler: _Handler) -> None:
    """Answers with the first words of its personality."""
    says(" ".join(str(handler.asked.messages[0]["content"]).split()[:3]))(handler)


def test_two_drafts_side_by_side(ai: Ai) -> None:
    ai.add_client("rascunho", "Sou a versão publicada.", plugins={"hand-over": {"enabled": True}})
    ai.enter_key()
    ai.provider.default = by_personality
    body = {
        "message": "E hoje?",
        "history": [{"question": "Oi", "answer": "Olá!"}],
        "drafts": [{}, {"personality": "Sou o rascunho novo.", "settings": {"temperature": 0.1}}],
    }
    answers = ask(ai, "chat", "rascunho", body=body)["answers"]
    assert [answer["response"] for answer in answers] == ["Sou a versão", "Sou o rascunho"]
    assert {request.body["temperature"] for request in ai.provider.requests} == {0.7, 0.1}
    assert all("Olá!" in request.text for request in ai.provider.requests)
    assert ai.stored("rascunho") == []
    handed = ask(ai, "chat", "rascunho", body={"message": "quero falar com uma pessoa"})["answers"][0]
    assert handed["source"] == "plugin"
    with ai.database.connect("postgres") as connection:
        for table in ("paused_chats", "client_events"):
            count = connection.execute(
                f"SELECT count(*) FROM {table} WHERE client_id = 'rascunho'"
            ).fetchone()
            assert count == (0,), table
        purposes = connection.execute("SELECT DISTINCT purpose FROM ai_calls WHERE client_id = 'rascunho'")
        assert purposes.fetchall() == [("test",)]


def test_a_wrong_draft_is_refused_by_name(ai: Ai) -> None:
    ai.add_client("torto")
    for draft, field in [
        ({"settings": {"temperatura": 1}}, "settings.temperatura"),
        ({"personality": "{{horas}}"}, "personality"),
    ]:
        problem = ask(ai, "chat", "torto", 400, body={"message": "oi", "drafts": [draft]})
        assert problem["errors"][0]["field"] == field
    ask(ai, "chat", "torto", 400, body={"message": "oi", "drafts": [{}, {}, {}]})
    ask(ai, "chat", "nobody", 404, body={"message": "oi"})


QUESTIONS = {
    "questions": [
        {"question": "Vocês entregam?", "points": [{"kind": "says", "text": "sim|claro"}]},
        {"question": "Qual o preço?",
         "points": [{"kind": "lacks", "text": "R$ 0"}, {"kind": "judged", "text": "is kind"}]},
        {"question": "Abre domingo?", "points": [{"kind": "says", "text": "domingo"}]},
    ]
}  # fmt: skip


def judge(handler: _Handler) -> None:
    text = handler.asked.text
    says("YES" if "Criterion: is kind" in text else "Sim, entregamos no bairro.")(handler)


def finished(ai: Ai, client: str, run: str) -> Any:
    def done() -> Any:
        result = ask(ai, "result", client, name=run)
        return result if result["state"] != "running" else None

    return wait_for(done, "the run has ended", 20)


def test_saved_questions_are_put_to_a_draft_before_it_goes_live(ai: Ai) -> None:
    ai.add_client("prova", "Publicada.")
    ai.enter_key()
    ai.provider.default = judge
    ask(ai, "save-set", "prova", name="basico", body=QUESTIONS)
    assert list(ask(ai, "sets", "prova")["sets"]) == ["basico"]
    draft = {"personality": "Rascunho.", "settings": {"temperature": 0.3}}
    begun = ask(ai, "run", "prova", name="basico", body=draft)
    result = finished(ai, "prova", begun["id"])
    assert (result["state"], result["questions"], result["passed"], result["version"]) == ("done", 3, 2, None)
    assert [each["passed"] for each in result["results"]].count(False) == 1
    missed = next(each for each in result["results"] if not each["passed"])
    assert missed["points"] == [{"kind": "says", "text": "domingo", "met": False}]
    assert result["costUsd"] > 0

    with ai.database.connect("postgres") as connection:  # the draft goes live, as the gateway stores it
        connection.execute(
            "INSERT INTO client_configs (client_id, version, personality, settings, author) VALUES"
            """ ('prova', 2, 'Rascunho.', '{"model": "test/prova", "temperature": 0.3}', 'x')"""
        )
    assert ask(ai, "result", "prova", name=begun["id"])["version"] == 2, "the version that the draft became"
    live = finished(ai, "prova", ask(ai, "run", "prova", name="basico", body={})["id"])
    assert live["version"] == 2
    assert [run["id"] for run in ask(ai, "runs", "prova")["runs"]] == [live["id"], begun["id"]]
    assert ask(ai, "delete-set", "prova", name="basico") is True
    ask(ai, "run", "prova", 404, name="basico", body={})
    ask(ai, "result", "prova", 404, name="not-a-run")


def test_another_clients_runs_are_not_seen(ai: Ai) -> None:
    ai.add_client("curiosa")
    ai.add_client("discreta", faq=[("oi?", "oi")])
    ask(ai, "save-set", "discreta", name="s", body=QUESTIONS)
    run = ask(ai, "run", "discreta", name="s", body={})["id"]
    ask(ai, "result", "curiosa", 404, name=run)
    assert ask(ai, "runs", "curiosa")["runs"] == []
    assert finished(ai, "discreta", run)["state"] == "done", "without a key the FAQ is asked"


def test_a_client_pays_with_its_own_key_which_nobody_can_read(ai: Ai) -> None:
    ai.add_client("propria")
    ai.enter_key()
    shown = ask(ai, "save-key", "propria", body={"key": "sk-own-secret-7890"})
    assert shown == {"ownKey": True, "hint": "…7890"}
    wait_for(
        lambda: (
            ai.chat("propria", "oi")
            and ai.provider.requests[-1].headers["authorization"] == "Bearer sk-own-secret-7890"
        ),
        "the own key is used",
    )
    with ai.database.connect("postgres") as connection:
        row = connection.execute("SELECT t::text, sealed FROM provider_keys t").fetchone()
        paid = connection.execute(
            "SELECT bool_or(own_key) FROM ai_calls WHERE client_id = 'propria'"
        ).fetchone()
    assert row is not None
    assert "sk-own-secret" not in row[0]
    assert b"sk-own-secret" not in bytes(row[1])
    assert paid == (True,)
    assert "sk-own-secret" not in ai.service.log_tail(10**6)
    assert ask(ai, "delete-key", "propria") == {"ownKey": False, "hint": ""}
    wait_for(
        lambda: (
            ai.chat("propria", "oi") and ai.provider.requests[-1].headers["authorization"] == f"Bearer {KEY}"
        ),
        "the operator's key is used again",
    )
    ask(ai, "save-key", "propria", 400, body={"key": "two words"})
    ask(ai, "save-key", "nobody", 404, body={"key": "sk-own-secret-7890"})
