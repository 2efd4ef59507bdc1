"""Reading a form: in memory, and every malformed one is the caller's error."""

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import post
from litestar.testing import TestClient

from orbitbot.foundation.web import AnyRequest, new_app
from orbitbot.speech.forms import read_form

LIMIT = 10_000  # bytes
BOUNDARY = "b0undary"


@post("/form", status_code=200)
async def echo(request: AnyRequest) -> dict[str, Any]:
    form = await read_form(request)
    return {"audio": form.file("audio").hex(), "language": form.text("language", "pt")}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Any]]:
    with TestClient(new_app([echo], middleware=[], body_limit=LIMIT)) as client:
        yield client


def part(name: str, content: bytes, filename: str = "") -> bytes:
    named = f'; filename="{filename}"' if filename else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def send(
    client: TestClient[Any], content: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY}"
) -> Any:
    return client.post("/form", content=content, headers={"Content-Type": kind})


def test_a_file_and_a_field(client: TestClient[Any]) -> None:
    answer = send(client, body(part("audio", b"\x00\xff\r\n--", "note.ogg"), part("language", b" en ")))

    assert answer.status_code == 200
    assert answer.json() == {"audio": "00ff0d0a2d2d", "language": "en"}


def test_a_file_needs_no_file_name(client: TestClient[Any]) -> None:
    answer = send(client, body(part("audio", b"\xff\xfe")))

    assert answer.json() == {"audio": "fffe", "language": "pt"}


def test_an_empty_field_counts_as_absent(client: TestClient[Any]) -> None:
    assert send(client, body(part("audio", b"a"), part("language", b""))).json()["language"] == "pt"


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (body(), 400, "audio: a file part of this name is needed"),
        (b"", 400, "form could not be read"),
        (body(part("language", b"pt")), 400, "audio: a file part of this name is needed"),
        (body(part("audio", b"a"), part("audio", b"b")), 400, "audio: given more than once"),
        (body(part("audio", b"a"), part("language", b"\xff\xfe")), 400, "language: not UTF-8"),
        (part("audio", b"cut short"), 400, "form could not be read"),
        (b"no boundary at all", 400, "form could not be read"),
        (body(*(part(f"field{i}", b"") for i in range(40))), 400, "form could not be read"),
        (body(part("audio", bytes(LIMIT))), 413, "larger than a voice note may be"),
    ],
)
def test_a_bad_form_is_refused_with_the_reason(
    client: TestClient[Any], content: bytes, status: int, says: str
) -> None:
    answer = send(client, content)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("kind", ["application/json", "audio/ogg", "application/x-www-form-urlencoded", "x"])
def test_another_content_type_is_415(client: TestClient[Any], kind: str) -> None:
    answer = send(client, b"{}", kind)

    assert answer.status_code == 415
    assert "multipart/form-data" in answer.json()["detail"]


def test_a_form_without_a_boundary_is_malformed(client: TestClient[Any]) -> None:
    assert send(client, body(part("audio", b"a")), "multipart/form-data").status_code == 400
