"""Bad requests through nginx: each gets a problem document (RFC 9457) of the 4xx kind and harms nothing."""

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import CA_FILE, SERVICES, Client, Deployment
from tests.support.api import Api
from tests.support.voices import silence, synthesise

CONTACT = "5511933330099"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def unharmed(deployment: Deployment, operator: Api, client: Client) -> Iterator[None]:
    """After the test the same processes serve, and a message is answered."""
    pids = {service: deployment.pid(f"orbitbot-{service}") for service in SERVICES}
    yield
    assert {service: deployment.pid(f"orbitbot-{service}") for service in SERVICES} == pids
    assert all(deployment.readiness(service)["status"] == "ready" for service in SERVICES)
    assert operator.say(client.id, "Qual é o endereço?", CONTACT).response


def refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """The problem document of an answer with one of `statuses`."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.headers
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["status"] == answer.status_code
    return problem


def post(operator: Api, client: Client, content: bytes, **headers: str) -> httpx.Response:
    return operator.http.post(f"/api/clients/{client.id}/messages", content=content, headers=JSON | headers)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "JSON"),
        (b"", "body"),
        (b'{"message": "\xff"}', ""),
        (b'["message"]', "object"),
        (b'{"message": 7, "from": "1"}', "message"),
        (b'{"message": "oi", "type": "smoke", "from": "1"}', "type"),
        (b'{"message": "oi", "from": ["1"]}', "from"),
        (b'{"mesage": "oi", "from": "1"}', "mesage"),
        (b'{"message": "oi\\u0000", "from": "1"}', "message"),
        (b"[" * 20_000, ""),
    ],
)
def test_a_body_that_is_not_a_message(operator: Api, client: Client, body: bytes, named: str) -> None:
    problem = refused(post(operator, client, body), 400)
    assert named in json.dumps(problem, ensure_ascii=False)


def test_64_kilobytes_of_text(operator: Api, client: Client) -> None:
    body = json.dumps({"message": "a" * 65_536, "from": CONTACT}).encode()
    assert "message" in refused(post(operator, client, body), 413)["detail"]


def test_a_body_that_nginx_refuses(operator: Api, client: Client) -> None:
    refused(post(operator, client, b" " * 20_000_000), 413)


@pytest.mark.parametrize(
    ("note", "statuses"),
    [
        (b"", (400, 422)),
        (b"this is not audio" * 100, (415, 422)),
        (synthesise("bom dia")[:200], (415, 422)),
    ],
    ids=["empty", "not audio", "cut off"],
)
def test_a_voice_note_that_is_none(
    operator: Api, client: Client, note: bytes, statuses: tuple[int, ...]
) -> None:
    files = {
        "payload": (None, json.dumps({"message": "", "type": "voice", "from": CONTACT}), "application/json"),
        "audio": ("note.ogg", note, "audio/ogg"),
    }
    answer = operator.http.post(f"/api/clients/{client.id}/messages", files=files)
    if answer.status_code == httpx.codes.OK:  # the turn is in the ledger, failed, with its reason
        assert answer.json()["state"] == "failed"
        assert answer.json()["reason"]
    else:
        refused(answer, *statuses)
    refused(
        operator.http.post("/api/transcribe", files={"audio": ("note.ogg", note, "audio/ogg")}), *statuses
    )


def test_a_voice_note_of_an_hour(operator: Api) -> None:
    hour = silence(3600.0)
    answer = operator.http.post("/api/transcribe", files={"audio": ("note.ogg", hour, "audio/ogg")})
    assert "600" in refused(answer, 413)["detail"]


def test_a_client_id_that_cannot_be_one(operator: Api) -> None:
    for client_id in ("PADARIA", "a" * 32, "%2e%2e"):
        refused(operator.http.get(f"/api/clients/{client_id}/stats"), 400, 404)


def test_what_nginx_cannot_read(deployment: Deployment) -> None:
    context = ssl.create_default_context(cafile=CA_FILE)
    requests = {
        b"GET /api/clients/padaria%00/stats HTTP/1.1\r\nHost: localhost\r\n": b" 400 ",
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n": b" 400 ",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9_000 + b"\r\n": b" 400 ",
    }
    for request, status in requests.items():
        with (
            socket.create_connection(("127.0.0.1", 443), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(request + b"Connection: close\r\n\r\n")
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        assert status in answer.partition(b"\r\n")[0], answer[:300]
        assert b"application/problem+json" in answer, answer[:500]
