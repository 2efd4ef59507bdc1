"""Clients cannot reach each other, and nothing but nginx can be reached from outside."""

import ipaddress
import re
import shutil
import subprocess
from typing import Any

import httpx
import msgspec
import pytest

from orbitbot.contracts.clients import CredentialCreated
from tests.acceptance.deployment import Client, Deployment

OURS = {"orbitbot", "postgres", "redis-server", "nginx", "supervisord"}


def run_as(user: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a bot's system user, with that user's own group only."""
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    return subprocess.run(
        [setpriv, f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *command],
        capture_output=True, text=True, timeout=30, check=False, cwd="/",
    )  # fmt: skip


def test_a_bot_sees_its_own_directory(client: Client) -> None:
    seen = run_as(client.user, "ls", str(client.state_directory))

    assert seen.returncode == 0, seen.stderr
    assert "journal.db" in seen.stdout


@pytest.mark.parametrize("place", ["state_directory", "settings_file", "log_file"])
def test_a_bot_cannot_read_another_ones(client: Client, neighbour: Client, place: str) -> None:
    path = getattr(neighbour, place)
    assert path.exists()

    seen = (
        run_as(client.user, "head", "-c1", str(path))
        if path.is_file()
        else run_as(client.user, "ls", str(path))
    )

    assert seen.returncode != 0
    assert "Permission denied" in seen.stderr


@pytest.mark.parametrize("name", ["journal.db", "credential.json"])
def test_a_bot_cannot_open_another_ones_file_by_its_name(
    client: Client, neighbour: Client, name: str
) -> None:
    assert (neighbour.state_directory / name).exists()

    seen = run_as(client.user, "head", "-c1", str(neighbour.state_directory / name))

    assert "Permission denied" in seen.stderr


@pytest.mark.parametrize(
    "path",
    [
        "/etc/orbitbot/secrets/gateway",
        "/etc/orbitbot/secrets/ai",
        "/etc/orbitbot/secrets/migrate",
        "/run/supervisor.sock",
    ],
)
def test_a_bot_cannot_read_what_belongs_to_the_services(client: Client, path: str) -> None:
    seen = (
        run_as(client.user, "ls", path)
        if not path.endswith(".sock")
        else run_as(client.user, "curl", "-sS", "--unix-socket", path, "http://localhost/RPC2")
    )

    assert seen.returncode != 0, seen.stdout


@pytest.mark.parametrize(
    "call",
    [
        ("POST", "/messages", {"message": "oi", "type": "text", "from": "5511966660001"}),
        ("GET", "/turns/some-turn", None),
        ("POST", "/reports", {"reports": []}),
        ("PUT", "/bot", {"state": "connected", "channel": "simulator", "release": "x"}),
        ("GET", "/stats", None),
        ("POST", "/configure", {"personality": "mine now"}),
        ("GET", "/messages/some-message/why", None),
        ("POST", "/credentials", {"kind": "bot"}),
        ("GET", "", None),
        ("DELETE", "", None),
    ],
)
def test_a_bots_token_opens_nothing_of_another_client(
    deployment: Deployment, client: Client, neighbour: Client, call: tuple[str, str, Any]
) -> None:
    method, path, body = call
    credential = msgspec.json.decode(
        (client.state_directory / "credential.json").read_bytes(), type=CredentialCreated
    )
    with deployment.anonymous() as anonymous, anonymous.as_credential(credential) as bot:
        answer = bot.http.request(method, f"/api/clients/{neighbour.id}{path}", json=body)

    assert answer.status_code == httpx.codes.FORBIDDEN, answer.text


def test_only_nginx_listens_to_the_outside(deployment: Deployment) -> None:
    sockets = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    found: dict[str, set[str]] = {}
    for line in sockets.splitlines():
        address = line.split()[3].rpartition(":")[0].strip("[]").partition("%")[0]
        for program in set(re.findall(r'\("([^"]+)"', line)) & OURS:
            found.setdefault(program, set()).add(address)

    assert {"orbitbot", "postgres", "redis-server", "nginx"} <= found.keys()
    for program, addresses in found.items():
        if program != "nginx":
            assert all(ipaddress.ip_address(each).is_loopback for each in addresses), (program, addresses)
