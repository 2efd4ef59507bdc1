"""Bad input: a problem document of the 4xx kind that names the field, and an unharmed service."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from orbitbot.foundation.forms import MAX_AUDIO, MAX_MULTIPART
from tests.support.gateway import Client, Gateways, answer_of, problem_of

MEMBER: dict[str, Any] = {"id": "m1", "type": "text", "sentAt": 1.7e9, "journaledAt": 1.7e9, "text": "x"}
GOOD: dict[str, Any] = {"message": "x", "type": "text", "from": "5511900000001", "members": [MEMBER]}


@pytest.fixture(autouse=True)
def _unharmed(client: Client, gateway: Gateways) -> Iterator[None]:
    yield
    gateway.ai.reset()
    assert answer_of(client.post("still there?")).response == "echo: still there?"


def post(client: Client, body: Any, **more: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    return client.bot.post(f"/api/clients/{client.id}/messages", content=content, headers=headers, **more)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"nonsense", b'{"message": "a', b"[" * 200_000, b'{"message": "\xff"}',
     b'{"message": "\\ud800"}', b'{"members":' + b'[{"x":' * 50_000],
)  # fmt: skip
def test_malformed_json(client: Client, body: bytes) -> None:
    problem_of(post(client, body), 400)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"message": 1}, "message"),
        ({"message": None}, "message"),
        ({"type": "video"}, "type"),
        ({"from": 5511900000001}, "from"),
        ({"from": ""}, "from"),
        ({"from": "a b"}, "from"),
        ({"from": "x" * 201}, "from"),
        ({"from": "a\nb"}, "from"),
        ({"members": {}}, "members"),
        ({"members": [1]}, "members[0]"),
        ({"members": [{**MEMBER, "sentAt": "1.7e9"}]}, "members[0].sentAt"),
        ({"members": [{**MEMBER, "sentAt": -1}]}, "members[0].sentAt"),
        ({"members": [{**MEMBER, "journaledAt": 1e300}]}, "members[0].journaledAt"),
        ({"members": [{**MEMBER, "id": ""}]}, "members[0].id"),
        ({"members": [{**MEMBER, "id": "x" * 201}]}, "members[0].id"),
        ({"members": [{**MEMBER, "text": 5}]}, "members[0].text"),
        ({"members": [MEMBER, MEMBER]}, "members"),
        ({"members": [{**MEMBER, "id": f"m{n}"} for n in range(101)]}, "members"),
        ({"members": [{**MEMBER, "text": ""}], "message": ""}, "members"),
        ({"members": [], "message": ""}, "message"),
        ({"message": "a\0b"}, "message"),
        ({"from": "a\0b"}, "from"),
        ({"members": [{**MEMBER, "text": "\0"}]}, "members[0].text"),
        ({"members": [{**MEMBER, "id": "\0"}]}, "members[0].id"),
        ({"surprise": 1}, "body"),
    ],
)
def test_wrong_fields_are_named(client: Client, changed: dict[str, Any], field: str) -> None:
    document = problem_of(post(client, GOOD | changed), 400)
    assert [error["field"] for error in document["errors"]] == [field]
    assert field in document["detail"]


def test_a_missing_field_is_named(client: Client) -> None:
    document = problem_of(post(client, {"from": "1"}), 400)
    assert "message" in document["detail"]


def test_sixty_four_kilobytes_of_text(client: Client) -> None:
    text = "a" * 65_536
    body = GOOD | {"message": text, "members": [{**MEMBER, "text": text}]}
    problem_of(post(client, body), 413)
    as_integrator = {"message": text}
    problem_of(client.integrator.post(f"/api/clients/{client.id}/messages", json=as_integrator), 413)


def test_a_text_at_the_limit_is_answered(client: Client) -> None:
    text = "ã" * 16_000
    body = GOOD | {"message": text, "members": [{**MEMBER, "id": "long", "text": text}]}
    assert post(client, body).status_code == httpx.codes.OK


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", ""])
def test_other_content_types(client: Client, kind: str) -> None:
    answer = client.bot.post(
        f"/api/clients/{client.id}/messages",
        content=b"{}",
        headers={"Idempotency-Key": "k", "Content-Type": kind},
    )
    problem_of(answer, 415)


def test_bodies_over_the_limit(client: Client) -> None:
    problem_of(client.integrator.post(f"/api/clients/{client.id}/configure", content=b" " * 1_000_001,
                                      headers={"Content-Type": "application/json"}), 413)  # fmt: skip
    big = b'{"message": "' + b"x" * 1_000_001 + b'"}'
    problem_of(post(client, big), 413)
    payload = json.dumps({"message": ""}).encode()
    for size in (MAX_AUDIO + 1, MAX_MULTIPART + 1):
        files = {"payload": (None, payload), "audio": ("a.ogg", b"x" * size)}
        answer = client.integrator.post(f"/api/clients/{client.id}/messages", files=files)
        problem_of(answer, 413)


def multipart(client: Client, content: bytes, boundary: str = "b") -> httpx.Response:
    kind = f"multipart/form-data; boundary={boundary}" if boundary else "multipart/form-data"
    headers = {"Idempotency-Key": "k", "Content-Type": kind}
    return client.bot.post(f"/api/clients/{client.id}/messages", content=content, headers=headers)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no boundary at all",
        b"--b\r\n",
        b'--b\r\nContent-Disposition: form-data; name="payload"\r\n\r\n{',
        b"--b\r\nno colon\r\n\r\n\r\n--b--\r\n",
        b"--b\r\n\r\nno name\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="payload"\r\n\r\n{\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--b--\r\n',
    ],
)
def test_malformed_multipart(client: Client, content: bytes) -> None:
    problem_of(multipart(client, content), 400)


def test_multipart_without_a_boundary(client: Client) -> None:
    problem_of(multipart(client, b"x", boundary=""), 400)
    problem_of(multipart(client, b"x", boundary="x" * 300), 400)


def test_voice_notes_that_belong_to_nobody(client: Client) -> None:
    path = f"/api/clients/{client.id}/messages"
    payload = ("payload", (None, msgspec.json.encode(GOOD)))
    stray = client.bot.post(path, files=[payload, ("m9", ("a", b"x"))], headers={"Idempotency-Key": "k"})
    assert problem_of(stray, 400)["errors"][0]["field"] == "m9"
    voice = GOOD | {"members": [{**MEMBER, "type": "voice"}]}
    twice = [("payload", (None, msgspec.json.encode(voice))), ("m1", ("a", b"x")), ("m1", ("a", b"x"))]
    problem_of(client.bot.post(path, files=twice, headers={"Idempotency-Key": "k"}), 400)
    many = [payload, *((f"p{n}", ("a", b"x")) for n in range(200))]
    problem_of(client.bot.post(path, files=many, headers={"Idempotency-Key": "k"}), 400)


def test_a_voice_note_that_the_bot_could_not_keep_is_one_in_which_nothing_is_heard(client: Client) -> None:
    """Whatever the bot tells beside it: that it was a file with sound, what it replied to."""
    lost = GOOD | {"message": "", "members": [{**MEMBER, "type": "voice", "text": "[sent an audio file]"}]}
    assert "hear" in answer_of(post(client, lost)).response


def test_an_empty_voice_note(gateway: Gateways, client: Client) -> None:
    files = {"payload": (None, b'{"message": ""}'), "audio": ("a.ogg", b"")}
    answer = client.integrator.post(f"/api/clients/{client.id}/messages", files=files)
    assert problem_of(answer, 400)["errors"][0]["field"] == "audio"
    assert gateway.speech.arrived == 0


@pytest.mark.parametrize("client_id", ["UPPER", "1a", "a", "a" * 32, "a_b", "..", "a%00b", "a%0A", "ação"])
def test_client_ids_that_cannot_be(gateway: Gateways, client_id: str) -> None:
    operator = gateway.operator()
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/stats")):
        answer = operator.request(
            method,
            f"/api/clients/{client_id}{path}",
            json={"channel": "simulator"} if method == "PUT" else None,
        )
        assert answer.status_code in {400, 404}, answer.text
        problem_of(answer, answer.status_code)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channel": "pigeon"}, "channel"),
        ({"channel": 1}, "channel"),
        ({"chanel": "simulator"}, "body"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "\0"}, "timezone"),
        ({"language": "Portuguese"}, "language"),
        ({"language": ""}, "language"),
        ({"name": "\0"}, "name"),
        ({"name": "x" * 201}, "name"),
        ([], "body"),
    ],
)
def test_registrations_that_are_refused(gateway: Gateways, body: Any, field: str) -> None:
    answer = gateway.operator().put("/api/clients/never-registered", json=body)
    assert problem_of(answer, 400)["errors"][0]["field"] == field
    assert gateway.sql("SELECT count(*) FROM clients WHERE id = 'never-registered'") == [(0,)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"settings": {"temprature": 1}}, "settings.temprature"),
        ({"settings": {"temperature": 3}}, "settings.temperature"),
        ({"settings": {"temperature": "1"}}, "settings.temperature"),
        ({"settings": {"maxAnswerTokens": 1.5}}, "settings.maxAnswerTokens"),
        ({"settings": {"faq": [{"question": "x"}]}}, "settings.faq[0]"),
        ({"settings": {"faq": [{"question": "x", "answer": 1}]}}, "settings.faq[0].answer"),
        ({"settings": {"noAnswerText": "\0"}}, "settings.noAnswerText"),
        ({"settings": {"answerGroups": "true"}}, "settings.answerGroups"),
        ({"settings": []}, "settings"),
        ({"personality": "x" * 20_001}, "personality"),
        ({"personality": "\0"}, "personality"),
        ({"personality": 1}, "personality"),
        ({"setings": {}}, "body"),
    ],
)
def test_configurations_that_are_refused(gateway: Gateways, client: Client, body: Any, field: str) -> None:
    answer = client.integrator.post(f"/api/clients/{client.id}/configure", json=body)
    assert problem_of(answer, 400)["errors"][0]["field"] == field
    assert gateway.sql("SELECT count(*) FROM client_configs WHERE client_id = %s", client.id) == [(0,)]


def test_a_setting_nested_without_end(client: Client) -> None:
    body = b'{"settings": {"faq": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    answer = client.integrator.post(
        f"/api/clients/{client.id}/configure", content=body, headers={"Content-Type": "application/json"}
    )
    problem_of(answer, 400)


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"kind": "delivery", "turn": "t", "state": "delivered", "at": "now"}, "at"),
        ({"kind": "delivery", "turn": "t", "state": "delivered", "at": 1e300}, "at"),
        ({"kind": "delivery", "turn": "t", "state": "answered", "at": 1}, "state"),
        ({"kind": "delivery", "turn": "", "state": "delivered", "at": 1}, "turn"),
        ({"kind": "delivery", "turn": "t", "state": "failed", "at": 1, "reason": "\0"}, "reason"),
        ({"kind": "delivery", "turn": "t", "state": "failed", "at": 1, "reason": "x" * 2001}, "reason"),
        ({"kind": "rumour"}, "kind"),
    ],
)
def test_reports_that_are_refused(client: Client, report: dict[str, Any], field: str) -> None:
    answer = client.bot.post(f"/api/clients/{client.id}/reports", json={"reports": [report]})
    assert problem_of(answer, 400)["errors"][0]["field"] == f"reports[0].{field}"


def test_too_many_reports(client: Client) -> None:
    report = {"kind": "delivery", "turn": "t", "state": "delivered", "at": 1}
    answer = client.bot.post(f"/api/clients/{client.id}/reports", json={"reports": [report] * 201})
    assert problem_of(answer, 400)["errors"][0]["field"] == "reports"


@pytest.mark.parametrize("change", [{"state": "happy"}, {"pid": -1}, {"pid": 2**31}, {"journalBacklog": "1"}])
def test_signs_of_life_that_are_refused(client: Client, change: dict[str, Any]) -> None:
    status = {"state": "connected", "channel": "simulator", "release": "1"} | change
    answer = client.bot.put(f"/api/clients/{client.id}/bot", json=status)
    assert problem_of(answer, 400)["errors"][0]["field"] == next(iter(change))


@pytest.mark.parametrize("query", ["days=0", "days=367", "days=x", "days=1.5", "days=99999999999999999999"])
def test_statistics_of_impossible_periods(client: Client, query: str) -> None:
    answer = client.integrator.get(f"/api/clients/{client.id}/stats?{query}")
    assert problem_of(answer, 400)["errors"][0]["field"] == "days"


@pytest.mark.parametrize("wait", ["-1", "26", "x", "nan", "inf"])
def test_impossible_waits(client: Client, wait: str) -> None:
    problem_of(client.bot.get(f"/api/clients/{client.id}/turns/t?wait={wait}"), 400)


def test_ids_in_paths_that_cannot_be(client: Client) -> None:
    for path in ("turns/a%00b", "messages/a%00b/why", "messages/" + "x" * 300 + "/why", "turns/a%20b"):
        answer = client.integrator.get(f"/api/clients/{client.id}/{path}")
        problem_of(answer, 400)


def test_unknown_turns_and_paths(client: Client) -> None:
    problem_of(client.bot.get(f"/api/clients/{client.id}/turns/unknown"), 404)
    problem_of(client.bot.get("/api/nothing/here"), 404)
    problem_of(client.bot.patch(f"/api/clients/{client.id}/stats"), 405)


def test_raw_nonsense_on_the_wire(gateway: Gateways) -> None:
    answer = gateway.http().get("/api/clients", headers={"Host": "a b"})
    problem_of(answer, 400)
