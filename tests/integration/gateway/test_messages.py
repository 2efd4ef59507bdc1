"""The way of a message through the gateway: answered once, however often it is posted."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from orbitbot.foundation.errors import TooLarge, Unprocessable, UnsupportedMedia
from tests.support.gateway import Client, Gateways, answer_of, problem_of
from tests.support.net import wait_for


def test_a_text_is_answered(gateway: Gateways, client: Client) -> None:
    answer = answer_of(client.post("Bom dia", key="turn-1", contact="5511987654321"))
    assert (answer.response, answer.turn, answer.state) == ("echo: Bom dia", "turn-1", "answered")
    assert answer.model == "double-1"
    (asked,) = gateway.ai.asked
    assert (asked.client_id, asked.turn, asked.contact) == (client.id, "turn-1", "5511987654321")
    assert (asked.type, asked.heard) == ("text", True)
    assert gateway.sql("SELECT state, attempts, claimed_by FROM turns WHERE client_id = %s", client.id) == [
        ("answered", 1, None)
    ]


def test_the_contract_of_the_design_this_replaces(gateway: Gateways, client: Client) -> None:
    body = {"message": "Oi", "type": "text", "from": "5511900000009"}
    answer = client.integrator.post(f"/api/clients/{client.id}/messages", json=body)
    assert answer.status_code == httpx.codes.OK
    assert answer.json()["response"] == "echo: Oi"


def test_an_integrator_without_a_contact_shares_no_history(gateway: Gateways, client: Client) -> None:
    for text in ("a", "b"):
        answer_of(client.integrator.post(f"/api/clients/{client.id}/messages", json={"message": text}))
    first, second = gateway.ai.asked
    assert first.contact
    assert first.contact != second.contact


def test_a_repeated_post_gets_the_stored_answer(gateway: Gateways, client: Client) -> None:
    first = client.post("Quanto custa?", key="again")
    second = client.post("Quanto custa?", key="again")
    assert first.json() == second.json()
    assert gateway.ai.arrived == 1


def test_equal_posts_at_the_same_time_become_one_turn(gateway: Gateways, client: Client) -> None:
    gateway.ai.hold()
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(20) as pool:
        posts = [pool.submit(client.post, "vinte", key=key) for _ in range(20)]
        gateway.ai.wait_arrived(1)
        gateway.ai.release()
        answers = [post.result() for post in posts]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert gateway.ai.arrived == 1


def test_a_key_is_for_one_message_only(gateway: Gateways, client: Client) -> None:
    answer_of(client.post("um", key="taken", message_id="x1"))
    document = problem_of(client.post("dois", key="taken", message_id="x2"), 409)
    assert "Idempotency-Key" in document["detail"]
    gateway.ai.hold()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.post, "tres", key="running")
        gateway.ai.wait_arrived(2)
        problem_of(client.post("quatro", key="running"), 409)
        gateway.ai.release()
        assert answer_of(running.result()).response == "echo: tres"


def test_a_message_belongs_to_one_turn_only(gateway: Gateways, client: Client) -> None:
    answer_of(client.post("um", key="first", message_id="same"))
    problem_of(client.post("um", key="second", message_id="same"), 409)
    assert gateway.ai.arrived == 1
    assert gateway.sql("SELECT id FROM turns WHERE client_id = %s", client.id) == [("first",)]


def test_a_slow_answer_is_waited_for_elsewhere(gateway: Gateways, client: Client) -> None:
    gateway.ai.hold()
    accepted = client.post("devagar", key="slow/".strip("/"))
    assert accepted.status_code == httpx.codes.ACCEPTED
    assert accepted.headers["Location"] == f"/api/clients/{client.id}/turns/slow"
    assert int(accepted.headers["Retry-After"]) >= 1
    pending = answer_of(accepted)
    assert (pending.response, pending.state, pending.interrupted) == ("", "answering", False)
    assert client.turn("slow").status_code == httpx.codes.ACCEPTED
    releasing = threading.Timer(0.2, gateway.ai.release)
    releasing.start()
    answer = answer_of(client.turn("slow", wait=20))
    releasing.join()
    assert (answer.response, answer.state) == ("echo: devagar", "answered")
    assert client.turn("slow").status_code == httpx.codes.OK
    assert gateway.ai.arrived == 1


def test_a_turn_outlives_the_request_that_posted_it(gateway: Gateways, client: Client) -> None:
    gateway.ai.hold()
    with pytest.raises(httpx.ReadTimeout):
        client.bot.post(
            f"/api/clients/{client.id}/messages",
            json={
                "message": "tchau",
                "from": "1",
                "members": [{"id": "gone", "type": "text", "sentAt": 1, "journaledAt": 1, "text": "tchau"}],
            },
            headers={"Idempotency-Key": "gone"},
            timeout=0.3,
        )
    gateway.ai.release()
    assert answer_of(client.turn("gone", wait=10)).response == "echo: tchau"


@pytest.mark.parametrize("key", ["a b", "a/b", "", "x" * 129, "..", "ação"])
def test_keys_that_cannot_be_a_turns_id(client: Client, key: str) -> None:
    answer = client.bot.post(
        f"/api/clients/{client.id}/messages",
        json={"message": "x", "from": "1"},
        headers={"Idempotency-Key": key.encode()},
    )
    assert problem_of(answer, 400)["errors"][0]["field"] == "Idempotency-Key"


def test_unusual_keys_work(gateway: Gateways, client: Client) -> None:
    key = "3EB0:C7?d=1&%25#~"
    gateway.ai.hold()
    accepted = client.post("oi", key=key)
    gateway.ai.release()
    answer = answer_of(client.bot.get(accepted.headers["Location"], params={"wait": 10}))
    assert (answer.turn, answer.response) == (key, "echo: oi")


def test_a_bot_needs_key_and_contact(client: Client) -> None:
    path = f"/api/clients/{client.id}/messages"
    missing = client.bot.post(path, json={"message": "x", "from": "1"})
    assert problem_of(missing, 400)["errors"][0]["field"] == "Idempotency-Key"
    nobody = client.bot.post(path, json={"message": "x"}, headers={"Idempotency-Key": "k"})
    assert problem_of(nobody, 400)["errors"][0]["field"] == "from"


def test_an_unavailable_ai_service_is_asked_again(gateway: Gateways, client: Client) -> None:
    gateway.ai.unavailable = 2
    assert answer_of(client.post("oi")).response == "echo: oi"
    assert gateway.ai.arrived == 3


def test_an_ai_service_that_stays_away_is_said_so_and_the_turn_goes_on_later(
    gateway: Gateways, client: Client
) -> None:
    gateway.ai.unavailable = 1000
    answer = client.post("oi", key="later")
    document = problem_of(answer, 503)
    assert "ai" in document["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    waiting = answer_of(client.turn("later"))
    assert (waiting.state, waiting.interrupted) == ("answering", True)
    gateway.ai.unavailable = 0
    assert answer_of(client.post("oi", key="later")).response == "echo: oi"
    assert gateway.sql("SELECT attempts FROM turns WHERE id = 'later' AND client_id = %s", client.id) == [
        (2,)
    ]


def test_voice_notes_are_transcribed_in_the_clients_language(gateway: Gateways) -> None:
    client = gateway.add_client(language="pt-BR")
    gateway.operator().post(
        f"/api/clients/{client.id}/configure", json={"settings": {"vocabulary": ["brioche", "Zezé"]}}
    ).raise_for_status()
    answer = answer_of(client.post_notes(b"quero dois", b"croissants", text="Oi!"))
    assert answer.transcription == "quero dois\ncroissants"
    assert answer.response == "echo: Oi!\nquero dois\ncroissants"
    assert answer.timings.transcription is not None
    (asked,) = gateway.ai.asked
    assert (asked.type, asked.heard) == ("voice", True)
    assert [fields for fields, _ in gateway.speech.notes] == [
        {"language": "pt", "client": client.id, "prompt": "brioche, Zezé"}
    ] * 2


def test_an_integrators_voice_note(gateway: Gateways, client: Client) -> None:
    files = {
        "payload": (None, b'{"message": "", "type": "voice", "from": "1"}', "application/json"),
        "audio": ("note.ogg", b"bom dia", "audio/ogg"),
    }
    answer = answer_of(client.integrator.post(f"/api/clients/{client.id}/messages", files=files))
    assert (answer.transcription, answer.response) == ("bom dia", "echo: bom dia")


def test_a_transcript_is_not_made_twice(gateway: Gateways, client: Client) -> None:
    gateway.ai.unavailable = 1000
    problem_of(client.post_notes(b"um bolo", b"", b"de milho", key="note"), 503)
    assert len(gateway.speech.notes) == 3
    gateway.ai.unavailable = 0
    answer = answer_of(client.post_notes(b"um bolo", b"", b"de milho", key="note"))
    assert answer.response == "echo: um bolo\nde milho"
    assert answer.transcription == "um bolo\nde milho"
    assert len(gateway.speech.notes) == 3


def test_speech_that_stays_away_is_waited_for(gateway: Gateways, client: Client) -> None:
    gateway.speech.unavailable = 1000
    waiting = client.post_notes(b"oi", key="n")
    assert (waiting.status_code, answer_of(waiting).state) == (httpx.codes.ACCEPTED, "received")
    gateway.speech.unavailable = 0
    assert answer_of(client.turn("n", wait=20)).response == "echo: oi"


def test_an_integrator_is_told_at_once_that_speech_is_away(gateway: Gateways, client: Client) -> None:
    gateway.speech.unavailable = 1000
    files = {"payload": (None, b'{"message": ""}'), "audio": ("a", b"oi")}
    answer = client.integrator.post(
        f"/api/clients/{client.id}/messages", files=files, headers={"Idempotency-Key": "i"}
    )
    assert "speech" in problem_of(answer, 503)["detail"]


@pytest.mark.parametrize("refusal", [Unprocessable, UnsupportedMedia, TooLarge])
def test_a_contact_whose_note_is_no_audio_gets_an_honest_answer(
    gateway: Gateways, client: Client, refusal: type[Unprocessable]
) -> None:
    gateway.speech.refuse = refusal("told to refuse")
    answer = answer_of(client.post_notes(b"\x00\x01"))
    assert (answer.state, answer.response) == ("answered", "I could not hear you")
    assert gateway.ai.asked[0].heard is False


def test_one_bad_note_does_not_spoil_the_others(gateway: Gateways, client: Client) -> None:
    def refuse_noise(note: bytes) -> None:
        if note == b"noise":
            raise Unprocessable("noise")

    gateway.speech.check = refuse_noise
    assert answer_of(client.post_notes(b"noise", b"dois paes")).response == "echo: dois paes"


@pytest.mark.parametrize("refusal", [Unprocessable, UnsupportedMedia, TooLarge])
def test_an_integrator_whose_note_is_no_audio_is_told_every_time(
    gateway: Gateways, client: Client, refusal: type[Unprocessable]
) -> None:
    gateway.speech.refuse = refusal("not audio at all")
    files = {"payload": (None, b'{"message": ""}'), "audio": ("a", b"\x01")}
    for _ in range(2):
        answer = client.integrator.post(
            f"/api/clients/{client.id}/messages", files=files, headers={"Idempotency-Key": "bad"}
        )
        document = problem_of(answer, refusal.status)
        assert document["detail"] == "not audio at all"
        assert document["type"].endswith(refusal.problem)
    assert gateway.speech.arrived == 1
    turn = answer_of(client.turn("bad"))
    assert turn.state == "failed"
    assert "not audio at all" in turn.reason


def test_a_contacts_endless_text_is_refused_but_not_forgotten(gateway: Gateways, client: Client) -> None:
    for _ in range(2):
        problem_of(client.post("a" * 16_001, key="endless", message_id="wamid"), 413)
    assert gateway.ai.arrived == 0
    assert gateway.sql("SELECT state FROM turns WHERE client_id = %s", client.id) == [("failed",)]
    story = client.integrator.get(f"/api/clients/{client.id}/messages/wamid/why").json()
    assert story["state"] == "failed"


def test_a_paused_client_is_not_answered(gateway: Gateways, client: Client) -> None:
    gateway.sql("UPDATE clients SET state = 'paused' WHERE id = %s", client.id)

    def silenced() -> bool:
        return answer_of(client.post("alguem?")).state == "silenced"

    wait_for(silenced, "the pause is seen", 10)
    answer = answer_of(client.post("alguem?", key="muted"))
    assert (answer.response, answer.state, answer.reason) == ("", "silenced", "muted")
    status = {"state": "connected", "channel": "simulator", "release": "1"}
    settings = client.bot.put(f"/api/clients/{client.id}/bot", json=status)
    assert settings.json()["muted"] is True


def test_a_client_may_have_so_many_turns_under_way(gateways: Gateways) -> None:
    gateways.start(limits="turns_in_flight = 3", turns="answer_seconds = 0.2")
    client, other = gateways.add_client(), gateways.add_client()
    gateways.ai.hold()
    for number in range(3):
        assert client.post("x", key=f"k{number}").status_code == httpx.codes.ACCEPTED
    refused = client.post("x", key="k3")
    problem_of(refused, 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.post("x", key="k1").status_code == httpx.codes.ACCEPTED
    assert other.post("x", key="k3").status_code == httpx.codes.ACCEPTED
    gateways.ai.release()
    assert answer_of(client.turn("k0", wait=10)).state == "answered"
    wait_for(lambda: client.post("x", key="k3").status_code == httpx.codes.OK, "there is room again")


def test_the_story_from_post_to_delivery(gateway: Gateways, client: Client) -> None:
    answer_of(client.post("Tem pão?", key="t1", message_id="wamid.1"))
    reports = {
        "reports": [
            {"kind": "delivery", "turn": "t1", "state": "delivering", "at": 1.7e9 + 5},
            {"kind": "delivery", "turn": "t1", "state": "delivered", "at": 1.7e9 + 6, "maybeRepeated": True},
            {
                "kind": "setAside",
                "messageId": "wamid.2",
                "from": "120363@g.us",
                "type": "text",
                "sentAt": 1.7e9,
                "journaledAt": 1.7e9 + 1,
                "reason": "group",
                "at": 1.7e9 + 1,
            },
        ]
    }
    for _ in range(2):
        accepted = client.bot.post(f"/api/clients/{client.id}/reports", json=reports)
        assert (accepted.status_code, accepted.json()) == (200, {"accepted": 3})
    story = client.integrator.get(f"/api/clients/{client.id}/messages/wamid.1/why").json()
    assert (story["state"], story["turn"], story["maybeRepeated"]) == ("delivered", "t1", True)
    assert [stage["name"] for stage in story["stages"]] == [
        "sent", "journaled", "received", "answering", "answered", "delivering", "delivered",
    ]  # fmt: skip
    aside = client.integrator.get(f"/api/clients/{client.id}/messages/wamid.2/why").json()
    assert (aside["state"], aside["reason"], aside["turn"]) == ("silenced", "group", "")
    missing = client.integrator.get(f"/api/clients/{client.id}/messages/nope/why")
    problem_of(missing, 404)


def test_what_is_on_purpose_not_answered_is_silenced(gateway: Gateways, client: Client) -> None:
    gateway.ai.silenced = "human_took_over"
    answer = answer_of(client.post("oi", key="quiet", message_id="m-quiet"))
    assert (answer.state, answer.reason, answer.response) == ("silenced", "human_took_over", "")
    assert answer_of(client.post("oi", key="quiet", message_id="m-quiet")).state == "silenced"
    story = client.integrator.get(f"/api/clients/{client.id}/messages/m-quiet/why").json()
    assert (story["state"], story["reason"]) == ("silenced", "human_took_over")
    gateway.ai.silenced = ""


def test_what_was_heard_is_corrected_before_it_is_answered(gateway: Gateways, client: Client) -> None:
    gateway.ai.correct = lambda heard: heard.replace("arros", "arroz")
    answer = answer_of(client.post_notes(b"quero arros", contact="5511900000033"))
    assert (answer.transcription, answer.response) == ("quero arroz", "echo: quero arroz")
    asked = gateway.ai.improved[-1]
    assert (asked.client_id, asked.contact, asked.confidence) == (client.id, "5511900000033", 0.9)
