"""What is passed on to the AI service and the speech pool; readiness; the documentation."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from orbitbot.foundation.errors import InvalidInput, Unprocessable
from orbitbot.gateway.documentation import asset_routes
from tests.support.gateway import Client, Gateways, problem_of
from tests.support.net import wait_for

ASSETS = Path(__file__).parents[3] / "app/orbitbot/gateway/assets"


def test_chat_is_passed_on(gateway: Gateways, client: Client) -> None:
    body = {"clientId": client.id, "message": "Oi", "type": "text"}
    answer = client.integrator.post("/api/chat", json=body)
    assert (answer.status_code, answer.json()["response"]) == (200, "echo: Oi")
    assert gateway.operator().post("/api/chat", json=body).json()["response"] == "echo: Oi"
    gateway.ai.refuse = InvalidInput("message", "the AI service says no")
    document = problem_of(client.integrator.post("/api/chat", json=body), 400)
    assert "the AI service says no" in document["detail"]


def test_chat_refuses_bad_input_itself(gateway: Gateways, client: Client) -> None:
    for body, status in [
        ({"clientId": client.id, "message": ""}, 400),
        ({"clientId": client.id, "message": "a\0"}, 400),
        ({"clientId": client.id, "message": "a" * 16_001}, 413),
        ({"clientId": client.id}, 400),
        ({"clientId": client.id, "message": "x", "typ": "text"}, 400),
    ]:
        problem_of(client.integrator.post("/api/chat", json=body), status)
    problem_of(gateway.operator().post("/api/chat", json={"clientId": "A", "message": "x"}), 400)
    assert gateway.ai.arrived == 0


def test_transcriptions_are_improved(gateway: Gateways, client: Client) -> None:
    body = {"transcription": "quero dois pao", "context": "padaria"}
    answer = client.integrator.post("/api/improve-transcription", json=body)
    assert answer.json() == {"improved": "Quero dois pao", "changes": [], "skipped": ""}
    assert gateway.operator().post("/api/improve-transcription", json=body).status_code == httpx.codes.OK
    assert [asked.client_id for asked in gateway.ai.improved] == [client.id, ""]


def test_voice_notes_are_passed_on(gateway: Gateways, client: Client) -> None:
    form = {"language": "pt", "model": "medium"}
    files = {"audio": ("note.ogg", "bom dia ção".encode(), "audio/ogg")}
    answer = client.integrator.post("/api/transcribe", data=form, files=files)
    assert (answer.status_code, answer.json()["transcription"]) == (200, "bom dia ção")
    assert gateway.speech.notes[0][0] == {**form, "client": client.id}
    gateway.speech.refuse = Unprocessable("not audio")
    assert problem_of(client.integrator.post("/api/transcribe", files=files), 422)["detail"] == "not audio"


def test_forms_that_are_no_voice_note(client: Client) -> None:
    http = client.integrator
    problem_of(http.post("/api/transcribe", json={}), 415)
    missing = problem_of(http.post("/api/transcribe", files={"language": (None, b"pt")}), 400)
    assert missing["errors"][0]["field"] == "audio"
    audio = ("audio", ("a", b"x"))
    unknown = http.post("/api/transcribe", files=[audio, ("modell", (None, b"x"))])
    assert problem_of(unknown, 400)["errors"][0]["field"] == "modell"
    problem_of(http.post("/api/transcribe", files=[audio, ("model", (None, b"\xff"))]), 400)
    problem_of(http.post("/api/transcribe", files=[audio, ("prompt", (None, b"x" * 5000))]), 400)


def test_readiness_says_what_is_missing(gateways: Gateways) -> None:
    gateways.start()
    http = gateways.http()
    checks = http.get("/readyz").json()["checks"]
    assert {name: check["ok"] for name, check in checks.items()} == {
        "database": True, "redis": True, "ai": True, "speech": True,
    }  # fmt: skip
    assert checks["speech"]["detail"] == "speech: a double"
    gateways.speech.stop()
    try:

        def voice_waits() -> bool:
            return "voice notes wait" in http.get("/readyz").json()["checks"]["speech"]["detail"]

        wait_for(voice_waits, "readiness tells of speech")
        assert http.get("/readyz").status_code == httpx.codes.OK
    finally:
        gateways.speech.start()
    gateways.ai.stop()
    try:
        wait_for(lambda: http.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE, "not ready")
        assert http.get("/healthz").json()["status"] == "alive"
    finally:
        gateways.ai.start()
    wait_for(lambda: http.get("/readyz").status_code == httpx.codes.OK, "ready again")


@pytest.fixture
def document(gateway: Gateways) -> dict[str, Any]:
    """The OpenAPI document as it is served."""
    answer = gateway.http().get("/docs/openapi.json")
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(each) for each in node.values()))
    if isinstance(node, list):
        return set().union(*(references(each) for each in node))
    return set()


_CLIENT = "/api/clients/{client_id}"
WITHOUT_BODY = {
    ("post", f"{_CLIENT}/versions/{{version}}/restore"),
    ("post", f"{_CLIENT}/restart"),
    ("post", f"{_CLIENT}/logout"),
    ("post", f"{_CLIENT}/refresh"),
    ("post", f"{_CLIENT}/pairing"),
    ("post", f"{_CLIENT}/pairing/link"),
    ("post", f"{_CLIENT}/moves/{{number}}/generation"),
    ("post", f"{_CLIENT}/pause"),
    ("post", f"{_CLIENT}/resume"),
}


def test_the_document_is_complete(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["bearer"] == {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
    }  # fmt: skip
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known
    operations = [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict)
    ]
    assert len(operations) >= 16
    for method, path, operation in operations:
        problem = operation["responses"]["401"]["content"]["application/problem+json"]
        assert problem["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}
        assert operation["responses"].keys() >= {"400", "403", "429", "503"}
        takes_body = method in {"post", "put", "patch"} and (method, path) not in WITHOUT_BODY
        assert ("requestBody" in operation) == takes_body, f"{method} {path}"
        assert operation["summary"]


def test_the_page_loads_nothing_from_elsewhere(gateway: Gateways) -> None:
    http = gateway.http()
    page = http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(loaded) == 5
    for address in loaded:
        assert address.startswith(("/docs/", "data:")), address
        if address.startswith("/"):
            assert http.get(address).status_code == httpx.codes.OK, address
    assert "default-src 'none'" in page.text
    script = http.get("/docs/assets/swagger-ui-bundle.js")
    assert "javascript" in script.headers["content-type"]
    assert "validatorUrl: null" in http.get("/docs/assets/start.js").text
    assert "url(http" not in (ASSETS / "swagger-ui.css").read_text()
    assert "@import" not in (ASSETS / "swagger-ui.css").read_text()


def test_assets_do_not_lead_out_of_their_folder(gateway: Gateways) -> None:
    assert asset_routes().path == "/docs/assets"
    for path in ("../main.py", "%2e%2e/main.py", "..%2fmain.py", "nothing.js"):
        answer = gateway.http().get(f"/docs/assets/{path}")
        assert answer.status_code == httpx.codes.NOT_FOUND
        assert "create_app" not in answer.text


def test_the_bare_address_leads_to_the_documentation(gateway: Gateways) -> None:
    answer = gateway.http().get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")
