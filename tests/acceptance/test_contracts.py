"""The calls whose names and shapes stand, through nginx, and the pages beside them."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import SERVICES, URL, Client, Deployment
from tests.support.api import Api
from tests.support.voices import synthesise

SAID = "qual é o preço do pão"


@pytest.fixture(scope="module")
def integrator(deployment: Deployment, operator: Api, neighbour: Client) -> Iterator[Api]:
    """An integrator of the second client."""
    credential = operator.credential(neighbour.id, "integrator")
    with deployment.anonymous() as anonymous, anonymous.as_credential(credential) as api:
        yield api


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """The body of a 200."""
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body: dict[str, Any] = answer.json()
    return body


def test_messages(integrator: Api, neighbour: Client) -> None:
    body = {"message": "Qual é o endereço?", "type": "text", "from": "5511933330001"}

    answer = json_of(integrator.http.post(f"/api/clients/{neighbour.id}/messages", json=body))

    assert "Rua das Flores" in answer["response"]


def test_stats(integrator: Api, neighbour: Client) -> None:
    answer = json_of(integrator.http.get(f"/api/clients/{neighbour.id}/stats"))

    assert {
        "messages",
        "responseTime",
        "promptTokens",
        "completionTokens",
        "costUsd",
        "byDay",
    } <= answer.keys()
    assert {"p50", "p95"} <= answer["responseTime"].keys()
    assert {"date", "messages", "tokens", "costUsd"} <= answer["byDay"][-1].keys()


def test_configure(integrator: Api, neighbour: Client) -> None:
    personality = "Você é o atendente da loja vizinha."
    body = {"personality": personality, "settings": {"noAnswerText": "Não sei, vou perguntar."}}

    first = json_of(integrator.http.post(f"/api/clients/{neighbour.id}/configure", json=body))
    again = json_of(integrator.http.post(f"/api/clients/{neighbour.id}/configure", json=body))

    assert first["success"] is again["success"] is True
    assert (first["version"], again["changed"]) == (again["version"], False)


def test_chat(integrator: Api, neighbour: Client) -> None:
    body = {"clientId": neighbour.id, "message": "Quanto custa o arroz?", "type": "text"}

    answer = json_of(integrator.http.post("/api/chat", json=body))

    assert "27,90" in answer["response"]


def test_improve_transcription(integrator: Api) -> None:
    body = {"transcription": "quero tres pacotes de arroz", "context": "pedidos"}

    answer = json_of(integrator.http.post("/api/improve-transcription", json=body))

    assert "arroz" in answer["improved"]


def test_transcribe(integrator: Api) -> None:
    answer = json_of(
        integrator.http.post(
            "/api/transcribe",
            files={"audio": ("note.ogg", synthesise(SAID), "audio/ogg")},
            data={"model": "medium", "language": "pt"},
        )
    )

    assert answer["transcription"] == SAID


def test_transcribe_with_defaults(integrator: Api) -> None:
    files = {"audio": ("note.ogg", synthesise(SAID), "audio/ogg")}

    answer = json_of(integrator.http.post("/api/transcribe", files=files))

    assert (answer["transcription"], answer["model"], answer["language"]) == (SAID, "medium", "pt")


def test_a_voice_message(integrator: Api, neighbour: Client) -> None:
    answer = json_of(
        integrator.http.post(
            f"/api/clients/{neighbour.id}/messages",
            files={
                "payload": (
                    None,
                    '{"message": "", "type": "voice", "from": "5511933330002"}',
                    "application/json",
                ),
                "audio": ("note.ogg", synthesise(SAID), "audio/ogg"),
            },
        )
    )

    assert (answer["transcription"], "17,90" in answer["response"]) == (SAID, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/clients/padaria/messages"),
        ("GET", "/api/clients/padaria/stats"),
        ("POST", "/api/clients/padaria/configure"),
        ("POST", "/api/chat"),
        ("POST", "/api/improve-transcription"),
        ("POST", "/api/transcribe"),
    ],
)
def test_each_call_needs_a_token(anonymous: Api, method: str, path: str) -> None:
    answer = anonymous.http.request(method, path)

    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_certificate_is_not_valid_for_everybody(deployment: Deployment) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{URL}/healthz", trust_env=False)


def test_plain_http_leads_to_https(deployment: Deployment) -> None:
    answer = httpx.get("http://localhost/healthz", trust_env=False)

    assert answer.status_code == httpx.codes.PERMANENT_REDIRECT
    assert answer.headers["Location"] == f"{URL}/healthz"


def test_openapi_names_every_call(anonymous: Api) -> None:
    paths = anonymous.http.get("/docs/openapi.json").json()["paths"]

    assert {
        "/api/auth/token",
        "/api/clients/{client_id}/messages",
        "/api/clients/{client_id}/stats",
        "/api/clients/{client_id}/configure",
        "/api/chat",
        "/api/improve-transcription",
        "/api/transcribe",
    } <= paths.keys()


def test_documentation_asks_nobody_else(anonymous: Api) -> None:
    page = anonymous.http.get("/docs")

    assert page.status_code == httpx.codes.OK
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:
        assert source.startswith(("/", "data:", "openapi")), source
        if source.startswith("/"):
            assert anonymous.http.get(source).status_code == httpx.codes.OK, source
    assert "default-src 'none'" in page.text


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_alive_and_ready(deployment: Deployment, service: str) -> None:
    alive = json_of(httpx.get(f"http://127.0.0.1:{SERVICES[service]}/healthz", trust_env=False))
    ready = deployment.readiness(service)

    assert alive["status"] == "alive"
    assert (ready["status"], ready["service"]) == ("ready", service)
    assert ready["checks"]


def test_the_test_model_says_so_everywhere(deployment: Deployment, anonymous: Api) -> None:
    outside = json_of(anonymous.http.get("/readyz"))

    assert "test model, 107 words" in deployment.readiness("speech")["checks"]["model"]["detail"]
    assert "test model, 107 words" in outside["checks"]["speech"]["detail"]
