"""A client of the gateway's REST API for tests: tokens, clients, messages, stories."""

import ssl
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
import msgspec

from orbitbot.contracts.auth import TokenResponse
from orbitbot.contracts.clients import ClientView, CredentialCreated
from orbitbot.contracts.configure import Configured
from orbitbot.contracts.messages import MessageAnswer
from orbitbot.contracts.stats import Stats
from orbitbot.contracts.why import Story

T = TypeVar("T")

TIMEOUT: Final = 40.0  # seconds; the gateway answers a message within 25
OPERATOR: Final = "admin"


class ApiError(Exception):
    """An answer other than 2xx; the message holds the problem document."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
        self.status = answer.status_code


def decode(answer: httpx.Response, kind: type[T]) -> T:
    """The body of an answer.

    Raises:
        ApiError: its status is not 2xx.
    """
    if not answer.is_success:
        raise ApiError(answer)
    return msgspec.json.decode(answer.content, type=kind)


class Api:
    """Speaks to the gateway as whoever `token` is for (nobody, when it is empty).

    Args:
        base_url: `https://localhost` through nginx, or a gateway's own address.
        ca_file: the only certificate authority to trust; None for the system's, and for plain HTTP.
    """

    def __init__(self, base_url: str, ca_file: Path | None = None, token: str = "") -> None:
        self.base_url = base_url
        self.ca_file = ca_file
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(
            base_url=base_url,
            verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
            headers=headers,
            timeout=TIMEOUT,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def _with_token(self, **grant: str) -> "Api":
        answer = self.http.post("/api/auth/token", json=grant)
        token = decode(answer, TokenResponse)
        return Api(self.base_url, self.ca_file, token.access_token)

    def as_operator(self, password: str, name: str = OPERATOR) -> "Api":
        """The same API, spoken to as an operator."""
        return self._with_token(grant_type="password", username=name, password=password)

    def as_credential(self, credential: CredentialCreated) -> "Api":
        """The same API, spoken to as a bot or an integrator."""
        return self._with_token(
            grant_type="client_credentials",
            client_id=credential.credential_id,
            client_secret=credential.secret,
        )

    def register(self, client_id: str, **fields: str) -> ClientView:
        """Register a client or change what differs."""
        answer = self.http.put(f"/api/clients/{client_id}", json=fields)
        return decode(answer, ClientView)

    def client(self, client_id: str) -> ClientView:
        """A client and its bot's last sign of life."""
        answer = self.http.get(f"/api/clients/{client_id}")
        return decode(answer, ClientView)

    def credential(self, client_id: str, kind: str) -> CredentialCreated:
        """A new credential of `kind` (`bot` or `integrator`)."""
        answer = self.http.post(f"/api/clients/{client_id}/credentials", json={"kind": kind})
        return decode(answer, CredentialCreated)

    def configure(
        self, client_id: str, personality: str | None = None, settings: dict[str, Any] | None = None
    ) -> Configured:
        """Set personality and settings; what is None stays."""
        body = {"personality": personality, "settings": settings}
        answer = self.http.post(f"/api/clients/{client_id}/configure", json=body)
        return decode(answer, Configured)

    def stats(self, client_id: str) -> Stats:
        """The client's statistics of the last days."""
        answer = self.http.get(f"/api/clients/{client_id}/stats")
        return decode(answer, Stats)

    def say(self, client_id: str, message: str, contact: str, key: str = "") -> MessageAnswer:
        """Post a text as an integrator does, and wait for the answer."""
        key = key or uuid.uuid4().hex
        body = {"message": message, "type": "text", "from": contact}
        answer = self.http.post(
            f"/api/clients/{client_id}/messages", json=body, headers={"Idempotency-Key": key}
        )
        deadline = time.monotonic() + TIMEOUT
        while answer.status_code == httpx.codes.ACCEPTED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to turn {key} within {TIMEOUT} s")
            answer = self.http.get(answer.headers["Location"], params={"wait": 20})
        return msgspec.json.decode(answer.content, type=MessageAnswer)

    def story(self, client_id: str, message_id: str) -> Story | None:
        """What the ledger says of a message; None while it knows nothing of it."""
        answer = self.http.get(f"/api/clients/{client_id}/messages/{message_id}/why")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return decode(answer, Story)
