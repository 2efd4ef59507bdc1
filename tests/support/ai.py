"""The AI service as it runs on a host: its own processes, a real database, a local language model server."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from orbitbot.contracts.chat import ChatResponse
from tests.support.keys import Keys
from tests.support.net import free_port, wait_for
from tests.support.openai_server import OpenAIServer, Reply
from tests.support.postgres import Cluster, Database
from tests.support.redis import RedisServer
from tests.support.stack import ORBITBOT, Service

PROVIDER_TIMEOUT: Final = 9.0  # seconds
KEY: Final = "sk-test-0123456789"

SEALING_SECRET: Final = "for-tests-only-sealing"

_SETTINGS: Final = """
verify_key_file = "{keys.public_file}"
sealing_secret_file = "{sealing_secret_file}"
redis_url = "{redis_url}"
redis_password_file = "{redis_password_file}"
[listen]
port = {port}
workers = 2
drain_seconds = 5
[database]
user = "orbitbot_ai"
password_file = "{database.password_file}"
port = {database.port}
name = "{database.name}"
[provider]
base_url = "{provider.url}"
default_model = "test/default"
api_key_file = "{key_file}"
timeout_seconds = {timeout}
first_token_seconds = 3.5
stall_seconds = 2.5
max_retries = 1
breaker_failures = {breaker_failures}
app_url = "https://shop.example"
"""


def ai_service(
    directory: Path,
    name: str,
    *,
    database: Database,
    provider: OpenAIServer,
    key_file: Path,
    keys: Keys,
    redis: RedisServer | None = None,
    breaker_failures: int = 1000,
    top: str = "",
) -> Service:
    """An AI service with two worker processes, not yet started; its files are in `directory`."""
    port = free_port()
    settings_file = directory / f"{name}.toml"
    sealing_secret_file = directory / "sealing-secret"
    sealing_secret_file.write_text(SEALING_SECRET)
    settings_file.write_text(
        f"{top}\n"
        + _SETTINGS.format(
            keys=keys,
            port=port,
            database=database,
            provider=provider,
            key_file=key_file,
            timeout=PROVIDER_TIMEOUT,
            sealing_secret_file=sealing_secret_file,
            redis_url=redis.url if redis else "",
            redis_password_file=redis.password_file if redis else "",
            breaker_failures=breaker_failures,
        )
    )
    command = [ORBITBOT, "ai", "--settings", str(settings_file)]
    return Service(name, command, directory / f"{name}.log", f"http://127.0.0.1:{port}")


def ai_client(url: str, keys: Keys) -> httpx.Client:
    """Speaks to an AI service as the gateway does."""
    token = keys.signer().sign(subject="service:gateway", audience="ai", scopes=frozenset({"service"}))
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=20.0, trust_env=False)


@dataclass
class Ai:
    """The running service and everything around it."""

    http: httpx.Client
    database: Database
    provider: OpenAIServer
    key_file: Path
    keys: Keys
    service: Service

    def add_client(
        self,
        client_id: str,
        personality: str = "",
        *,
        language: str = "pt",
        faq: list[tuple[str, str]] | None = None,
        **settings: Any,
    ) -> None:
        """A client with one version of a configuration, as the gateway stores it.

        Its model is its own, so that no other test's failures have closed it.
        """
        settings.setdefault("model", f"test/{client_id}")
        if faq is not None:
            settings["faq"] = [{"question": question, "answer": answer} for question, answer in faq]
        with self.database.connect("postgres") as connection:
            connection.execute(
                "INSERT INTO clients (id, name, channel, language, timezone, config_version)"
                " VALUES (%s, %s, 'simulator', %s, 'America/Sao_Paulo', 1)",
                (client_id, client_id.title(), language),
            )
            connection.execute(
                "INSERT INTO client_configs (client_id, version, personality, settings, author)"
                " VALUES (%s, 1, %s, %s, 'test')",
                (client_id, personality, json.dumps(settings)),
            )

    def configure(self, client_id: str, *, faq: list[tuple[str, str]]) -> None:
        """A second version of the client's configuration."""
        settings = {"faq": [{"question": question, "answer": answer} for question, answer in faq]}
        with self.database.connect("postgres") as connection, connection.transaction():
            connection.execute(
                "INSERT INTO client_configs (client_id, version, personality, settings, author)"
                " VALUES (%s, 2, '', %s, 'test')",
                (client_id, json.dumps(settings)),
            )
            connection.execute("UPDATE clients SET config_version = 2 WHERE id = %s", (client_id,))

    def wait_for_answer(self, client_id: str, message: str, expected: str) -> None:
        """Ask until the answer is `expected`, for as long as a configuration may be cached."""
        wait_for(lambda: self.chat(client_id, message).response == expected, f"the answer is {expected}", 10)

    def post(self, client_id: str, message: str, **fields: Any) -> httpx.Response:
        """`POST /api/chat`, whatever the answer."""
        return self.http.post("/api/chat", json={"clientId": client_id, "message": message, **fields})

    def chat(self, client_id: str, message: str, **fields: Any) -> ChatResponse:
        """`POST /api/chat`; it must succeed."""
        answer = self.post(client_id, message, **fields)
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=ChatResponse)

    def enter_key(self, key: str = KEY) -> None:
        """Put an API key into its file, as an operator does."""
        self.key_file.write_text(key + "\n")

    def checks(self) -> dict[str, dict[str, Any]]:
        """The checks of `/readyz`."""
        found: dict[str, dict[str, Any]] = self.http.get("/readyz").json()["checks"]
        return found

    def wait_for_check(self, condition: Callable[[str], bool]) -> None:
        """Wait for a provider check that fulfils `condition`: each worker process has its own."""
        wait_for(lambda: condition(self.checks()["provider"]["detail"]), "the provider's check", 10)

    def stored(self, client_id: str) -> list[tuple[Any, ...]]:
        """The client's exchanges as (turn, question, answer, source)."""
        with self.database.connect("postgres") as connection:
            return connection.execute(
                "SELECT turn_id, question, answer, source FROM exchanges WHERE client_id = %s"
                " ORDER BY created_at",
                (client_id,),
            ).fetchall()


@contextmanager
def another(ai: Ai, directory: Path, *, top: str = "") -> Iterator[Ai]:
    """One more service on the same database and provider, as on a second host, until the end.

    Args:
        top: of its settings file.
    """
    service = ai_service(
        directory,
        "another",
        database=ai.database,
        provider=ai.provider,
        key_file=ai.key_file,
        keys=ai.keys,
        top=top,
    )
    with served(service, ai.keys) as http:
        yield dataclasses.replace(ai, http=http, service=service)


@contextmanager
def served(service: Service, keys: Keys) -> Iterator[httpx.Client]:
    """A service from its start to its end, spoken to as the gateway does."""
    service.start()
    try:
        service.wait_ready()
        with ai_client(service.url, keys) as http:
            yield http
    finally:
        service.stop()


@contextmanager
def running(
    directory: Path,
    cluster: Cluster,
    keys: Keys,
    *,
    models: Reply | None = None,
    redis: RedisServer | None = None,
) -> Iterator[Ai]:
    """A service of two worker processes on a database and a provider of its own, until the end.

    Args:
        models: what the provider answers when it is asked for its list of models; None: nothing.
        redis: where answers are cached; None: nowhere.
    """
    database, key_file = cluster.fresh(), directory / "provider-key"
    with OpenAIServer() as provider:
        if models is not None:
            provider.models = models
        service = ai_service(
            directory,
            directory.name,
            database=database,
            provider=provider,
            key_file=key_file,
            keys=keys,
            redis=redis,
        )
        try:
            with served(service, keys) as http:
                yield Ai(http, database, provider, key_file, keys, service)
        finally:
            cluster.drop(database)
