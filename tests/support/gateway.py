"""Gateways as processes, on one database and Redis, in front of the doubles of `tests.support.upstreams`."""

import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from orbitbot.contracts.clients import CredentialCreated
from orbitbot.contracts.messages import MessageAnswer
from tests.support.api import OPERATOR, TIMEOUT
from tests.support.keys import Keys
from tests.support.net import free_port
from tests.support.postgres import Database
from tests.support.redis import RedisServer
from tests.support.stack import ORBITBOT, Service
from tests.support.upstreams import AiDouble, SpeechDouble

OPERATOR_PASSWORD: Final = "for-tests-only"

_SETTINGS: Final = """
redis_url = "{redis.url}"
redis_password_file = "{redis.password_file}"
signing_key_file = "{keys.private_file}"
verify_key_file = "{keys.public_file}"
ai_urls = ["{ai.url}"]
speech_urls = {speech_urls}
trusted_proxies = ["127.0.0.1"]
public_url = "http://127.0.0.1:{port}"
[listen]
port = {port}
workers = {workers}
drain_seconds = 8
[database]
user = "orbitbot_gateway"
password_file = "{database.password_file}"
port = {database.port}
name = "{database.name}"
[operator_database]
user = "orbitbot_operator"
password_file = "{database.password_file}"
port = {database.port}
name = "{database.name}"
[limits]
{limits}
[turns]
{turns}
"""
_MIGRATE: Final = """
[database]
user = "orbitbot_owner"
password_file = "{database.password_file}"
port = {database.port}
name = "{database.name}"
"""


@dataclass
class Client:
    """A registered client and what opens it.

    Attributes:
        bot, integrator: HTTP clients with their tokens.
    """

    id: str
    bot_credential: CredentialCreated
    integrator_credential: CredentialCreated
    bot: httpx.Client
    integrator: httpx.Client

    def post(
        self, text: str, *, key: str = "", contact: str = "5511900000001", message_id: str = ""
    ) -> httpx.Response:
        """Post a turn of one text message as the bot does."""
        key = key or uuid.uuid4().hex
        member = {
            "id": message_id or f"m-{key}",
            "type": "text",
            "sentAt": 1.7e9,
            "journaledAt": 1.7e9,
            "text": text,
        }
        body = {"message": text, "type": "text", "from": contact, "members": [member]}
        return self.bot.post(f"/api/clients/{self.id}/messages", json=body, headers={"Idempotency-Key": key})

    def post_notes(
        self, *notes: bytes, text: str = "", key: str = "", contact: str = "5511900000001"
    ) -> httpx.Response:
        """Post a turn of voice notes, after a text message where `text` is given, as the bot does."""
        key = key or uuid.uuid4().hex
        times = {"sentAt": 1.7e9, "journaledAt": 1.7e9}
        members: list[dict[str, Any]] = [
            {"id": f"v{n}-{key}", "type": "voice", **times} for n in range(len(notes))
        ]
        if text:
            members.insert(0, {"id": f"t-{key}", "type": "text", "text": text, **times})
        body = {"message": text, "type": "voice", "from": contact, "members": members}
        files = [("payload", (None, msgspec.json.encode(body), "application/json"))]
        files += [
            (f"v{n}-{key}", (f"v{n}.ogg", note, "audio/ogg"))  # type: ignore[list-item]  # httpx's own form
            for n, note in enumerate(notes)
        ]
        return self.bot.post(
            f"/api/clients/{self.id}/messages", files=files, headers={"Idempotency-Key": key}
        )

    def turn(self, turn: str, wait: float = 0.0) -> httpx.Response:
        """Read or await a turn."""
        return self.bot.get(f"/api/clients/{self.id}/turns/{turn}", params={"wait": wait})


def answer_of(response: httpx.Response) -> MessageAnswer:
    """The body of a 200 or 202."""
    assert response.status_code in (httpx.codes.OK, httpx.codes.ACCEPTED), response.text
    return msgspec.json.decode(response.content, type=MessageAnswer)


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer that has `status`."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:orbitbot:problem:")
    assert document["title"]
    return document


@dataclass
class Gateways:
    """One or more gateway processes that share a database, Redis and the upstreams."""

    directory: Path
    database: Database
    redis: RedisServer
    keys: Keys
    ai: AiDouble
    speech: SpeechDouble
    more_speech: tuple[SpeechDouble, ...] = ()
    services: list[Service] = field(default_factory=list)
    _open: list[httpx.Client] = field(default_factory=list)
    _operator: httpx.Client | None = None

    def start(self, count: int = 1, *, limits: str = "", turns: str = "", workers: int = 1) -> None:
        """Start processes, wait until they can serve, and make the operator's account."""
        for _ in range(count):
            port = free_port()
            settings = self.directory / f"gateway-{port}.toml"
            settings.write_text(
                _SETTINGS.format(
                    redis=self.redis,
                    keys=self.keys,
                    ai=self.ai,
                    speech_urls=[node.url for node in (self.speech, *self.more_speech)],
                    database=self.database,
                    port=port,
                    workers=workers,
                    limits=limits,
                    turns=turns,
                )
            )
            command = [ORBITBOT, "gateway", "--settings", str(settings)]
            log = self.directory / f"gateway-{port}.log"
            service = Service(f"gateway-{port}", command, log, f"http://127.0.0.1:{port}")
            service.start()
            self.services.append(service)
        assert self.set_operator() == "changed"
        for service in self.services:
            service.wait_ready()

    @property
    def settings_file(self) -> Path:
        """The settings of the first process."""
        return Path(self.services[0].command[-1])

    def set_operator(self, password: str = OPERATOR_PASSWORD, name: str = OPERATOR) -> str:
        """Run `orbitbot set-operator`; returns what it prints."""
        settings = self.directory / "migrate.toml"
        settings.write_text(_MIGRATE.format(database=self.database))
        password_file = self.directory / "operator-password"
        password_file.write_text(password)
        command = [ORBITBOT, "set-operator", name]
        command += ["--password-file", str(password_file), "--settings", str(settings)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert password not in done.stdout + done.stderr
        return done.stdout.strip()

    def http(self, token: str = "", process: int = 0, **headers: str) -> httpx.Client:
        """An HTTP client of one of the processes, closed at the end."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        client = httpx.Client(
            base_url=self.services[process].url,
            headers=headers,
            timeout=TIMEOUT,
            trust_env=False,
            verify=False,  # plain HTTP: reading the system's certificates takes longer than a test
        )
        self._open.append(client)
        return client

    def token(self, **grant: str) -> str:
        """Exchange something for an access token."""
        answer = self.http().post("/api/auth/token", json=grant)
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def operator(self) -> httpx.Client:
        """An HTTP client with an operator's token, the same each time."""
        if self._operator is None:
            self._operator = self.http(
                self.token(grant_type="password", username=OPERATOR, password=OPERATOR_PASSWORD)
            )
        return self._operator

    def as_credential(self, credential: CredentialCreated, process: int = 0) -> httpx.Client:
        """An HTTP client with the token of a bot or integrator."""
        token = self.token(
            grant_type="client_credentials",
            client_id=credential.credential_id,
            client_secret=credential.secret,
        )
        return self.http(token, process)

    def add_client(self, client_id: str = "", process: int = 0, **fields: str) -> Client:
        """Register a client and make a credential of each kind."""
        client_id = client_id or f"c-{uuid.uuid4().hex[:12]}"
        operator = self.operator()
        operator.put(f"/api/clients/{client_id}", json={"channel": "simulator", **fields}).raise_for_status()
        made = []
        for kind in ("bot", "integrator"):
            answer = operator.post(f"/api/clients/{client_id}/credentials", json={"kind": kind})
            answer.raise_for_status()
            made.append(msgspec.json.decode(answer.content, type=CredentialCreated))
        bot, integrator = made
        return Client(
            id=client_id,
            bot_credential=bot,
            integrator_credential=integrator,
            bot=self.as_credential(bot, process),
            integrator=self.as_credential(integrator, process),
        )

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Rows of a query by the superuser, whom row security does not bind."""
        with self.database.connect("postgres") as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def logs(self) -> str:
        """What all processes have logged."""
        return "\n".join(f"--- {service.name}\n{service.log_tail()}" for service in self.services)

    def close(self) -> None:
        """Stop all processes and close all clients."""
        for client in self._open:
            client.close()
        for service in self.services:
            service.stop()
