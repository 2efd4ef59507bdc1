"""Chat without a provider key: the whole way over HTTP, with a real PostgreSQL."""

import concurrent.futures
import contextlib
import http.client
import json

import httpx
import pytest

from orbitbot.ai.notices import notice
from tests.support.ai import Ai

pytestmark = pytest.mark.integration

FAQ = [
    ("Qual é o preço do arroz?", "R$ 27,90."),
    ("Vocês fazem entrega?", "Sim, no bairro."),
    ("Oi, tudo bem?", "Oi! Como posso ajudar?"),
]


def test_answers_from_the_faq_and_stores_both_sides(ai: Ai) -> None:
    ai.add_client("faq", faq=FAQ)
    answer = ai.chat("faq", "arroz ta quanto?", turn="t1", contact="5511999990001")
    assert (answer.response, answer.source, answer.model) == ("R$ 27,90.", "faq", "offline")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cost_usd) == (0, 0, 0.0)
    assert not answer.repeated
    assert ai.stored("faq") == [("t1", "arroz ta quanto?", "R$ 27,90.", "faq")]
    assert ai.provider.requests == []


def test_says_honestly_that_it_has_no_answer(ai: Ai) -> None:
    ai.add_client("honest", faq=FAQ)
    ai.add_client("own-words", faq=FAQ, noAnswerText="Pergunte à Maria.")
    answer = ai.chat("honest", "vocês consertam celular?")
    assert (answer.source, answer.response) == ("no_answer", notice("no_answer", "pt"))
    assert ai.chat("own-words", "vocês consertam celular?").response == "Pergunte à Maria."


def test_a_burst_is_answered_line_by_line(ai: Ai) -> None:
    ai.add_client("burst", faq=FAQ)
    answer = ai.chat("burst", "oi\narroz ta quanto?\ne vcs entregam?", turn="t1", contact="1")
    assert answer.response == "Oi! Como posso ajudar?\n\nR$ 27,90.\n\nSim, no bairro."
    assert answer.source == "faq"


@pytest.mark.parametrize("language", ["pt", "pt-BR", "en", "fr"])
def test_a_voice_note_without_words(ai: Ai, language: str) -> None:
    client = f"quiet-{language.lower()}"
    ai.add_client(client, language=language, faq=FAQ)
    answer = ai.chat(client, "", type="voice", turn="t1", contact="1", heard=False)
    assert (answer.source, answer.response) == ("not_heard", notice("not_heard", language))


def test_a_voice_note_without_words_gets_the_clients_own_text(ai: Ai) -> None:
    ai.add_client("quiet-own", notHeardText="Não ouvi nada!")
    assert ai.chat("quiet-own", "", type="voice", heard=False).response == "Não ouvi nada!"


def test_a_repeated_turn_returns_the_stored_answer(ai: Ai) -> None:
    ai.add_client("repeat", faq=FAQ)
    first = ai.chat("repeat", "arroz ta quanto?", turn="t1", contact="1")
    again = ai.chat("repeat", "heard differently the second time", turn="t1", contact="1")
    assert not first.repeated
    assert again.repeated
    assert again.response == first.response
    assert len(ai.stored("repeat")) == 1


def test_a_turn_of_another_contact_is_refused(ai: Ai) -> None:
    ai.add_client("mixed-up", faq=FAQ)
    ai.chat("mixed-up", "arroz ta quanto?", turn="t1", contact="1")
    answer = ai.post("mixed-up", "arroz ta quanto?", turn="t1", contact="2")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:orbitbot:problem:conflict"
    assert "27,90" not in answer.text


def test_equal_calls_at_once_make_one_exchange(ai: Ai) -> None:
    """Two worker processes: joining and the primary key both have their part in it."""
    ai.add_client("at-once", faq=FAQ)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        calls = [
            pool.submit(ai.chat, "at-once", "arroz ta quanto?", turn="t1", contact="1") for _ in range(32)
        ]
        answers = [call.result() for call in calls]
    assert {answer.response for answer in answers} == {"R$ 27,90."}
    assert [answer.repeated for answer in answers].count(False) == 1
    assert len(ai.stored("at-once")) == 1


def test_a_message_without_a_turn_is_not_stored(ai: Ai) -> None:
    ai.add_client("one-off", faq=FAQ)
    assert ai.chat("one-off", "arroz ta quanto?").response == "R$ 27,90."
    assert ai.stored("one-off") == []


def test_a_changed_configuration_is_seen_without_a_restart(ai: Ai) -> None:
    ai.add_client("changing", faq=FAQ)
    assert ai.chat("changing", "arroz ta quanto?").response == "R$ 27,90."
    ai.configure("changing", faq=[("Qual é o preço do arroz?", "R$ 30,00.")])
    ai.wait_for_answer("changing", "arroz ta quanto?", "R$ 30,00.")


def test_settings_of_a_newer_release_do_not_stop_it(ai: Ai) -> None:
    ai.add_client("rolled-back", faq=FAQ, inventedLater=True)
    assert ai.chat("rolled-back", "arroz ta quanto?").response == "R$ 27,90."


def test_an_unknown_or_removed_client(ai: Ai) -> None:
    assert ai.post("nobody", "oi").status_code == 404
    ai.add_client("gone", faq=FAQ)
    with ai.database.connect("postgres") as connection:
        connection.execute("UPDATE clients SET state = 'removed' WHERE id = 'gone'")
    assert ai.post("gone", "oi").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"{", 400, "bad-request"),
        (b"[]", 400, "invalid-input"),
        (b'{"clientId": "faq"}', 400, "invalid-input"),
        (b'{"clientId": "faq", "message": 7}', 400, "invalid-input"),
        (b'{"clientId": "faq", "message": "oi", "surprise": 1}', 400, "invalid-input"),
        (b'{"clientId": "FAQ!", "message": "oi"}', 400, "invalid-input"),
        (b'{"clientId": "faq", "message": "a\\u0000b"}', 400, "invalid-input"),
        (b'{"clientId": "faq", "message": "a", "turn": "t\\u0000"}', 400, "invalid-input"),
        (json.dumps({"clientId": "faq", "message": "a" * 65_536}).encode(), 413, "too-large"),
        (b'{"clientId": "faq", "message": "\xff"}', 400, "malformed-request"),
    ],
)
def test_bad_input_is_a_problem_document(ai: Ai, body: bytes, status: int, problem: str) -> None:
    answer = ai.http.post("/api/chat", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["type"] == f"urn:orbitbot:problem:{problem}"
    assert ai.http.get("/healthz").status_code == 200


def test_a_body_that_is_too_long_is_refused_before_it_is_sent(ai: Ai) -> None:
    address = httpx.URL(ai.service.url)
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/api/chat")
        connection.putheader("Authorization", ai.http.headers["Authorization"])
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "600000")
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.load(answer)["type"] == "urn:orbitbot:problem:request-entity-too-large"


def test_only_services_may_ask(ai: Ai) -> None:
    signer = ai.keys.signer()
    bodies = {
        "/api/chat": {"clientId": "faq", "message": "oi"},
        "/api/improve-transcription": {"transcription": "oi"},
    }
    tokens = {
        "not a token": 401,
        signer.sign(subject="service:gateway", audience="speech", scopes=frozenset({"service"})): 401,
        signer.sign(subject="operator:ana", audience="ai", scopes=frozenset({"operator"})): 403,
        signer.sign(subject="bot:faq", audience="ai", scopes=frozenset({"bot"}), client_id="faq"): 403,
    }
    for path, body in bodies.items():
        assert httpx.post(f"{ai.service.url}{path}", json=body, trust_env=False).status_code == 401
        for token, status in tokens.items():
            answer = ai.http.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, (path, token[-8:], answer.text)


def test_ready_says_which_provider_and_why(ai: Ai) -> None:
    assert ai.checks() == {
        "database": {"ok": True, "detail": "reachable"},
        "provider": {"ok": True, "detail": "offline: no provider key"},
    }


def test_improving_a_transcription_offline_changes_nothing(ai: Ai) -> None:
    raw = "quero tres pacote de arros"
    answer = ai.http.post("/api/improve-transcription", json={"transcription": raw, "context": "padaria"})
    assert (answer.status_code, answer.json()) == (200, {"improved": raw, "changes": [], "skipped": "no_key"})
