"""Our own actions, run by Ansible: `operator_api` and `vault_secret`."""

import json
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.ansible.running import BINARIES, action
from tests.support.net import free_port


class Answering(BaseHTTPRequestHandler):
    """Answers with what the path says: `/STATUS` and a body that repeats the request."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        status = int(self.path.strip("/"))
        body = {
            "method": self.command,
            "token": self.headers.get("Authorization"),
            "sent": json.loads(self.rfile.read(length) or b"null"),
            "detail": "what happened",
            **({"changed": False} if self.headers.get("X-Changed") == "no" else {}),
        }
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_POST = do_GET  # noqa: N815  (http.server's name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*words.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[str]:
    """Its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture(scope="module")
def ca(certificate: Path) -> str:
    """The certificate, as the vault holds the authority's."""
    return Path(f"{certificate}.crt").read_text()


def test_a_call_carries_token_and_body_and_returns_the_answer(server: str, ca: str) -> None:
    result = action(
        "operator_api", url=server, ca_certificate=ca, path="/200", method="POST", token="t", body={"a": 1}
    )
    assert result["json"] | {"detail": ""} == {
        "method": "POST",
        "token": "Bearer t",
        "sent": {"a": 1},
        "detail": "",
    }
    assert (result["status"], result["changed"], result["headers"]["location"]) == (200, True, "/elsewhere")


def test_the_answer_says_whether_a_call_changed_anything(server: str, ca: str) -> None:
    result = action(
        "operator_api", url=server, ca_certificate=ca, path="/200", method="POST", headers={"X-Changed": "no"}
    )
    assert result["changed"] is False
    assert action("operator_api", url=server, ca_certificate=ca, path="/200")["changed"] is False


def test_a_refusal_fails_with_the_services_own_words(server: str, ca: str) -> None:
    result = action("operator_api", url=server, ca_certificate=ca, path="/409")
    assert result["failed"]
    assert result["msg"].endswith("/409 was answered 409: what happened")
    accepted = action("operator_api", url=server, ca_certificate=ca, path="/409", accept=[409])
    assert accepted["status"] == 409


def test_check_mode_reads_and_writes_nothing(server: str, ca: str) -> None:
    assert action("operator_api", check=True, url=server, ca_certificate=ca, path="/200")["status"] == 200
    posted = action("operator_api", check=True, url=server, ca_certificate=ca, path="/200", method="POST")
    assert (posted["changed"], posted["status"]) == (True, 0)


def test_an_unknown_authority_is_refused(server: str) -> None:
    result = action("operator_api", url=server, path="/200")
    assert result["failed"]
    assert "CERTIFICATE_VERIFY_FAILED" in result["msg"]


def test_nobody_there_is_said_once_and_with_what_to_look_at() -> None:
    result = action("operator_api", url=f"http://127.0.0.1:{free_port()}", path="/200")
    assert result["msg"].count("Connection refused") == 1
    assert "playbooks/status.yml" in result["msg"]


class Vault:
    """An Ansible Vault file of a test, and its passphrase."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "vault.yml"
        passphrase = directory / "passphrase"
        passphrase.write_text("for-tests-only\n")
        self.variables = {"ANSIBLE_VAULT_PASSWORD_FILE": str(passphrase)}
        self.path.write_text("---\nvault_other: stays\n")
        self._vault("encrypt")

    def _vault(self, verb: str) -> str:
        return subprocess.run(
            [BINARIES / "ansible-vault", verb, self.path],
            env=self.variables | {"PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def content(self) -> dict[str, str]:
        """What it holds."""
        found: dict[str, str] = yaml.safe_load(self._vault("view"))
        return found

    def set(self, value: str, *, check: bool = False) -> bool:
        """Set the key; whether that changed the vault."""
        result = action(
            "vault_secret",
            check=check,
            variables=self.variables,
            path=str(self.path),
            name="vault_key",
            value=value,
        )
        return bool(result["changed"])


def test_a_secret_is_set_replaced_and_removed_and_the_others_stay(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    assert vault.set("one", check=True)
    assert vault.content() == {"vault_other": "stays"}
    assert vault.set("one")
    assert not vault.set("one")
    assert vault.content() == {"vault_other": "stays", "vault_key": "one"}
    assert vault.set("two")
    assert vault.content()["vault_key"] == "two"
    assert vault.set("")
    assert not vault.set("")
    assert vault.content() == {"vault_other": "stays"}
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o600
    assert "stays" not in vault.path.read_text()


def test_without_a_vault_nothing_is_set(tmp_path: Path) -> None:
    result = action("vault_secret", path=str(tmp_path / "vault.yml"), name="vault_key", value="one")
    assert "run playbooks/site.yml first" in result["msg"]
    assert list(tmp_path.iterdir()) == []
