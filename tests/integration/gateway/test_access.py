"""Who may do what: every route, every kind of token, tokens that were tampered with or revoked."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from litestar import Litestar

from orbitbot.clients.accounts import REVOCATION_DELAY
from orbitbot.foundation.tokens import TokenSigner
from orbitbot.gateway.main import application
from tests.support.api import OPERATOR
from tests.support.gateway import OPERATOR_PASSWORD, Client, Gateways, problem_of
from tests.support.keys import make_keys
from tests.support.net import wait_for

# Routes that anybody may call. Every other one, also one added later, must refuse strangers.
OPEN = {"/", "/healthz", "/readyz", "/docs", "/docs/openapi.json", "/docs/{path}", "/docs/assets/{file_path}",
        "/api/auth/token", "/{rest}", "/metrics", "/assets/{name}", "/pair/{token}", "/pair/{token}/round",
        "/pair/{token}/phone-code", "/pair/{token}/events"}  # fmt: skip
NOBODYS = {"/api/plugins"}  # the same for every client


def body(path: str, client_id: str) -> dict[str, Any]:
    """What a good call of a route carries, for `client_id`."""
    bodies: dict[str, dict[str, Any]] = {
        "/api/chat": {"json": {"clientId": client_id, "message": "x"}},
        "/api/improve-transcription": {"json": {"transcription": "x", "clientId": client_id}},
        "/api/transcribe": {"files": {"audio": ("a", b"x"), "client": (None, client_id.encode())}},
        "/api/clients/{client_id}": {"json": {"channel": "simulator"}},
        "/api/clients/{client_id}/credentials": {"json": {"kind": "bot"}},
        "/api/clients/{client_id}/configure": {"json": {"personality": "x"}},
        "/api/clients/{client_id}/bot": {"json": {"state": "connected", "channel": "x", "release": "1"}},
        "/api/clients/{client_id}/messages": {"json": {"message": "x", "from": "1"}},
        "/api/clients/{client_id}/reports": {"json": {"reports": []}},
        "/api/clients/{client_id}/journal": {"json": {}},
        "/api/clients/{client_id}/bot/pairing": {"json": {"phase": "round_over"}},
        "/api/clients/{client_id}/commands/{command_id}/result": {"json": {"state": "done"}},
        "/api/clients/{client_id}/lease": {"json": {"host": "vps-1"}},
        "/api/clients/{client_id}/pairing/phone-code": {"json": {"number": "+55 11 91234-5678"}},
    }
    return bodies.get(path, {})


# Reading a client, one's own configuration and so on: what each kind of token opens of its own client.
ALLOWED = {
    "bot": {
        ("GET", "/api/clients/{client_id}"),
        ("PUT", "/api/clients/{client_id}/bot"),
        ("POST", "/api/clients/{client_id}/messages"),
        ("POST", "/api/clients/{client_id}/reports"),
        ("POST", "/api/clients/{client_id}/journal"),
        ("GET", "/api/clients/{client_id}/turns/{turn}"),
        ("GET", "/api/clients/{client_id}/commands"),
        ("POST", "/api/clients/{client_id}/commands/{command_id}/result"),
        ("PUT", "/api/clients/{client_id}/bot/pairing"),
        ("GET", "/api/clients/{client_id}/messages/send/{send}/file"),
    },
    "integrator": {
        ("GET", "/api/clients/{client_id}"),
        ("PATCH", "/api/clients/{client_id}"),
        ("POST", "/api/clients/{client_id}/configure"),
        ("GET", "/api/clients/{client_id}/configuration"),
        ("GET", "/api/clients/{client_id}/versions"),
        ("GET", "/api/clients/{client_id}/versions/{version}"),
        ("GET", "/api/clients/{client_id}/versions/{version}/compare/{other}"),
        ("POST", "/api/clients/{client_id}/versions/{version}/restore"),
        ("GET", "/api/clients/{client_id}/contacts/{contact}"),
        ("DELETE", "/api/clients/{client_id}/contacts/{contact}"),
        ("PUT", "/api/clients/{client_id}/contacts/{contact}/facts"),
        ("PUT", "/api/clients/{client_id}/contacts/{contact}/pause"),
        ("DELETE", "/api/clients/{client_id}/contacts/{contact}/pause"),
        ("GET", "/api/clients/{client_id}/pauses"),
        ("GET", "/api/clients/{client_id}/events"),
        ("GET", "/api/clients/{client_id}/admin-commands"),
        ("GET", "/api/clients/{client_id}/spending"),
        ("POST", "/api/clients/{client_id}/test-chat"),
        ("GET", "/api/clients/{client_id}/question-sets"),
        ("PUT", "/api/clients/{client_id}/question-sets/{name}"),
        ("DELETE", "/api/clients/{client_id}/question-sets/{name}"),
        ("POST", "/api/clients/{client_id}/question-sets/{name}/run"),
        ("GET", "/api/clients/{client_id}/question-runs"),
        ("GET", "/api/clients/{client_id}/question-runs/{run}"),
        ("PUT", "/api/clients/{client_id}/provider-key"),
        ("DELETE", "/api/clients/{client_id}/provider-key"),
        ("GET", "/api/plugins"),
        ("POST", "/api/clients/{client_id}/messages"),
        ("GET", "/api/clients/{client_id}/turns/{turn}"),
        ("GET", "/api/clients/{client_id}/messages/{message_id}/why"),
        ("GET", "/api/clients/{client_id}/stats"),
        ("GET", "/api/clients/{client_id}/health"),
        ("GET", "/api/clients/{client_id}/messages/send/{send}"),
        ("POST", "/api/clients/{client_id}/messages/send"),
        ("POST", "/api/clients/{client_id}/logout"),
        ("POST", "/api/clients/{client_id}/refresh"),
        ("GET", "/api/clients/{client_id}/commands/{command_id}"),
        ("GET", "/api/clients/{client_id}/pairing"),
        ("GET", "/api/clients/{client_id}/pairing/qr.svg"),
        ("GET", "/api/clients/{client_id}/pairing/events"),
        ("POST", "/api/clients/{client_id}/pairing"),
        ("POST", "/api/clients/{client_id}/pairing/phone-code"),
        ("POST", "/api/clients/{client_id}/pairing/link"),
        ("POST", "/api/chat"),
        ("POST", "/api/improve-transcription"),
        ("POST", "/api/transcribe"),
    },
}


@pytest.fixture
def routes(gateway: Gateways) -> list[tuple[str, str]]:
    """Method and path of every route that is not open, as the application itself lists them."""
    app: Litestar = application(gateway.settings_file)
    found = [
        (method, route.path_format)
        for route in app.routes
        for method in sorted(getattr(route, "methods", {"GET"}))
        if method != "OPTIONS" and route.path_format not in OPEN
    ]
    assert len(found) >= 15, found
    return found


def call(http: httpx.Client, method: str, path: str, client_id: str) -> httpx.Response:
    names = {
        "turn": "t",
        "message_id": "m",
        "command_id": 1,
        "version": 1,
        "other": 1,
        "run": "r",
        "name": "n",
        "number": 1,
        "send": "s",
    }
    url = path.format(client_id=client_id, contact="5511987650001", **names)
    arguments = {} if method in {"GET", "DELETE"} else body(path, client_id)
    if path.endswith("/events"):  # has no end: its head is enough, unless it is a refusal
        with http.stream(method, url) as answer:
            if answer.is_error:
                answer.read()
            return answer
    return http.request(method, url, headers={"Idempotency-Key": "t"}, **arguments)


def test_strangers_get_nowhere(gateway: Gateways, routes: list[tuple[str, str]], client: Client) -> None:
    stranger = gateway.http()
    for method, path in routes:
        answer = call(stranger, method, path, client.id)
        problem_of(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("kind", ["bot", "integrator"])
def test_one_tenants_token_opens_nothing_of_another(
    gateway: Gateways, routes: list[tuple[str, str]], client: Client, kind: str
) -> None:
    other = gateway.add_client()
    for method, path in [each for each in routes if each[1] not in NOBODYS]:
        answer = call(getattr(other, kind), method, path, client.id)
        assert answer.status_code == httpx.codes.FORBIDDEN, f"{method} {path}: {answer.text}"
        problem_of(answer, 403)
    assert gateway.sql("SELECT count(*) FROM turns WHERE client_id = %s", client.id) == [(0,)]
    assert gateway.ai.arrived + gateway.speech.arrived == 0


@pytest.mark.parametrize("kind", ["bot", "integrator"])
def test_a_tenants_token_opens_of_its_own_what_it_should(
    routes: list[tuple[str, str]], client: Client, kind: str
) -> None:
    opened = {
        (method, path)
        for method, path in routes
        if call(getattr(client, kind), method, path, client.id).status_code not in {401, 403}
    }
    assert opened == ALLOWED[kind]


def segments(header: dict[str, Any], claims: dict[str, Any]) -> bytes:
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    return b".".join(encoded)


@pytest.fixture
def forged(gateway: Gateways, tmp_path: Path) -> dict[str, str]:
    """Tokens that would be an operator's, if they were good."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "orbitbot", "aud": "gateway", "sub": f"operator:{OPERATOR}", "scope": "operator", "ver": 1,
        "iat": now, "exp": now + 300, "jti": "1",
    }  # fmt: skip
    key = gateway.keys.private_pem
    public = gateway.keys.public_pem.encode()

    def signed(headers: dict[str, str] | None = None, **changed: Any) -> str:
        wanted = {name: value for name, value in (claims | changed).items() if value is not None}
        return jwt.encode(wanted, key, algorithm="EdDSA", headers=headers or {"typ": "at+jwt"})

    unsigned = segments({"alg": "HS256", "typ": "at+jwt"}, claims)
    digest = hmac.new(public, unsigned, hashlib.sha256).digest()
    good = signed()
    body, _, signature = good.rpartition(".")
    return {
        "no algorithm": (segments({"alg": "none", "typ": "at+jwt"}, claims) + b".").decode(),
        "public key as secret": (unsigned + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode(),
        "another key": make_keys(tmp_path)
        .signer()
        .sign(subject=f"operator:{OPERATOR}", audience="gateway", scopes=frozenset({"operator"}), version=1),
        "another audience": signed(aud="ai"),
        "audience among others": signed(aud=["gateway", "ai"]),
        "another issuer": signed(iss="somebody"),
        "no issuer": signed(iss=None),
        "another type": signed({"typ": "JWT"}),
        "expired": signed(iat=now - 600, exp=now - 300),
        "no expiry": signed(exp=None),
        "another version": signed(ver=99),
        "unknown operator": signed(sub="operator:nobody"),
        "no subject": signed(sub=None),
        "changed signature": f"{body}.{signature[:-4]}AAAA",
        "changed claims": f"{segments({'alg': 'EdDSA', 'typ': 'at+jwt'}, claims).decode()}.{signature}",
        "nonsense": "a.b.c",
        "not ASCII": "ação",
    }


def test_the_forger_knows_how(gateway: Gateways) -> None:
    good = gateway.keys.signer().sign(
        subject=f"operator:{OPERATOR}", audience="gateway", scopes=frozenset({"operator"}), version=1
    )
    assert gateway.http(good).get("/api/clients").status_code == httpx.codes.OK


def test_forged_tokens_are_refused(gateway: Gateways, forged: dict[str, str]) -> None:
    for what, token in forged.items():
        header = f"Bearer {token}".encode()
        answer = gateway.http().get("/api/clients", headers={"Authorization": header})
        assert answer.status_code == httpx.codes.UNAUTHORIZED, f"{what}: {answer.text}"


def test_other_schemes_and_doubled_headers_are_refused(gateway: Gateways) -> None:
    token = gateway.operator().headers["Authorization"]
    http = gateway.http()
    for value in ("Basic b3BlcmF0b3I6eA==", token.removeprefix("Bearer "), "Bearer"):
        problem_of(http.get("/api/clients", headers={"Authorization": value}), 401)
    doubled = [("Authorization", token), ("Authorization", token)]
    problem_of(http.get("/api/clients", headers=doubled), 401)


def test_scopes_are_not_to_be_chosen(gateway: Gateways, client: Client, keys: Any) -> None:
    signer: TokenSigner = keys.signer()
    service = signer.sign(subject="service:gateway", audience="gateway", scopes=frozenset({"service"}))
    problem_of(gateway.http(service).get("/api/clients"), 401)


def wait_refused(http: httpx.Client, path: str) -> None:
    refused = lambda: http.get(path).status_code == httpx.codes.UNAUTHORIZED  # noqa: E731
    wait_for(refused, "the token is refused", REVOCATION_DELAY + 2)


def test_a_removed_clients_tokens_are_refused(gateway: Gateways, client: Client) -> None:
    path = f"/api/clients/{client.id}"
    gateway.operator().delete(path).raise_for_status()
    wait_refused(client.bot, path)
    wait_refused(client.integrator, path)
    grant = {
        "grant_type": "client_credentials",
        "client_id": client.bot_credential.credential_id,
        "client_secret": client.bot_credential.secret,
    }
    problem_of(gateway.http().post("/api/auth/token", json=grant), 401)
    # Back again: the old tokens and credentials stay dead.
    gateway.operator().put(path, json={"channel": "simulator"}).raise_for_status()
    problem_of(gateway.http().post("/api/auth/token", json=grant), 401)
    wait_refused(client.bot, path)


def test_a_revoked_credentials_tokens_are_refused(gateway: Gateways, client: Client) -> None:
    path = f"/api/clients/{client.id}"
    renew = {"kind": "bot", "revokeEarlier": True}
    gateway.operator().post(f"{path}/credentials", json=renew).raise_for_status()
    wait_refused(client.bot, path)
    assert client.integrator.get(path).status_code == httpx.codes.OK


def test_a_changed_password_revokes_the_operators_tokens(gateways: Gateways) -> None:
    gateways.start()
    operator = gateways.operator()
    assert operator.get("/api/clients").status_code == httpx.codes.OK
    assert gateways.set_operator() == "unchanged"
    assert operator.get("/api/clients").status_code == httpx.codes.OK
    assert gateways.set_operator("another password") == "changed"
    wait_refused(operator, "/api/clients")
    old = {"grant_type": "password", "username": OPERATOR, "password": OPERATOR_PASSWORD}
    problem_of(gateways.http().post("/api/auth/token", json=old), 401)
    new = {**old, "password": "another password"}
    assert gateways.http().post("/api/auth/token", json=new).status_code == httpx.codes.OK


def test_wrong_grants_tell_nothing(gateway: Gateways, client: Client) -> None:
    http = gateway.http()
    known, unknown = client.bot_credential.credential_id, f"bot.{client.id}.0000000000000000"
    details = set()
    for credential_id in (
        known,
        unknown,
        "bot.nobody.00",
        "operator.x.y",
        "x",
        "bot..",
        f"bot.{client.id}.\0",
    ):
        grant = {"grant_type": "client_credentials", "client_id": credential_id, "client_secret": "x"}
        details.add(problem_of(http.post("/api/auth/token", json=grant), 401)["detail"])
    assert len(details) == 1
    details.clear()
    for name in (OPERATOR, "nobody", "a\0b"):
        grant = {"grant_type": "password", "username": name, "password": "a wrong password"}
        details.add(problem_of(http.post("/api/auth/token", json=grant), 401)["detail"])
    assert len(details) == 1


def test_a_secret_of_another_credential_does_not_fit(gateway: Gateways, client: Client) -> None:
    other = gateway.add_client()
    grant = {
        "grant_type": "client_credentials",
        "client_id": client.bot_credential.credential_id,
        "client_secret": other.bot_credential.secret,
    }
    problem_of(gateway.http().post("/api/auth/token", json=grant), 401)
