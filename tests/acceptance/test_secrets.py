"""No secret's value is found in logs, in processes, in supervisor's files or in the playbooks' output."""

import gzip
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import pytest

from orbitbot.contracts.clients import CredentialCreated
from tests.acceptance.conftest import Added
from tests.acceptance.deployment import Client, Deployment
from tests.acceptance.vault import read_secrets
from tests.acceptance.watch import ProcessWatch, process_texts

PUBLIC = {"vault_verify_key", "vault_tls_ca_certificate"}  # kept with the secrets, shown to everybody
LOGS = ("orbitbot", "postgresql", "nginx", "redis", "supervisor")
SHORTEST = 12  # characters of a line of a key that count as a piece of it


@pytest.fixture(scope="module")
def secrets(deployment: Deployment, client: Client, neighbour: Client) -> dict[bytes, str]:
    """Every piece of every secret, and its name: a key's lines one by one, as a log would cut it."""
    values = {name: value for name, value in read_secrets().items() if name not in PUBLIC}
    for each in (client, neighbour):
        content = (each.state_directory / "credential.json").read_bytes()
        values[f"credential of {each.id}"] = msgspec.json.decode(content, type=CredentialCreated).secret
    pieces = {
        line.strip().encode(): name
        for name, value in values.items()
        for line in value.splitlines()
        if len(line.strip()) >= SHORTEST and not line.startswith("-----")
    }
    assert len(set(pieces.values())) == len(values), "a secret has no piece to look for"
    return pieces


def hits(secrets: Mapping[bytes, str], texts: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> list[str]:
    """Where which secret stands; the secret itself is not repeated."""
    items = texts.items() if isinstance(texts, Mapping) else texts
    return sorted(
        {f"{name} in {place}" for place, text in items for piece, name in secrets.items() if piece in text}
    )


def files_below(*directories: Path) -> dict[str, bytes]:
    """The content of every file, unpacked."""
    return {
        str(path): gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for directory in directories
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_search_finds_what_is_there(secrets: dict[bytes, str]) -> None:
    vault = next(piece for piece, name in secrets.items() if name == "vault_operator_password")

    assert hits(secrets, {"a log": b"login with " + vault}) == ["vault_operator_password in a log"]
    assert hits(secrets, files_below(Path("/etc/orbitbot/secrets/gateway")))


def test_logs(secrets: dict[bytes, str]) -> None:
    texts = files_below(*(Path("/var/log") / name for name in LOGS))

    assert any(texts.values())
    assert hits(secrets, texts) == []


def test_processes(secrets: dict[bytes, str]) -> None:
    texts = process_texts()

    assert any(b"orbitbot" in text for text in texts.values())
    assert hits(secrets, texts) == []


def test_supervisors_files(secrets: dict[bytes, str]) -> None:
    texts = files_below(Path("/etc/supervisor"))

    assert any(b"bot-padaria" in text for text in texts.values())
    assert hits(secrets, texts) == []


def test_adding_a_client(secrets: dict[bytes, str], addition: Added) -> None:
    assert re.search(r"^PLAY RECAP", addition.output, re.MULTILINE)
    assert hits(secrets, {"output at -vvv": addition.output.encode()}) == []
    assert any(b"ansible" in text for text in addition.watch.seen)
    assert hits(secrets, ((place, text) for text, place in addition.watch.seen.items())) == []


def test_deploying(secrets: dict[bytes, str], deployment: Deployment, tmp_path: Path) -> None:
    with ProcessWatch() as watch:
        done = deployment.playbook("site.yml", tmp_path / "site", "-vvv")

    assert re.search(r"^PLAY RECAP", done.stdout, re.MULTILINE)
    assert hits(secrets, {"output at -vvv": done.stdout.encode()}) == []
    assert hits(secrets, ((place, text) for text, place in watch.seen.items())) == []
