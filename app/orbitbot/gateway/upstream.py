"""Calls to the AI service and the speech nodes: token, choice of the node, bounded retries.

A node is taken out while it does not answer, or says that it is not ready (it loads a model, or is told to
stop): then the others are asked. Calls that a node has under way are given up, and made elsewhere, when it
does not even answer `/readyz` any more: a host without power hangs up on nobody.
"""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import httpx
import msgspec

from orbitbot.foundation.errors import Unavailable
from orbitbot.foundation.tokens import INTERNAL_LIFETIME, TokenSigner
from orbitbot.foundation.web import ProblemDetails

CONNECT_TIMEOUT: Final = 2.0  # seconds
PROBE_TIMEOUT: Final = 3.0  # seconds for a readiness question
PROBE_SECONDS: Final = 2.0  # between two readiness questions to a node
LOST_AFTER: Final = 3  # readiness questions without an answer: the calls under way are made elsewhere
RETRY_AFTER: Final = 2.0  # seconds, told to callers
_TOKEN_MARGIN: Final = 60  # seconds before its expiry in which a token is not used any more
_FIRST_PAUSE: Final = 0.1  # seconds between attempts, doubled each time
_LONGEST_PAUSE: Final = 2.0  # seconds
_AVOID: Final = 5.0  # seconds for which a node that failed comes last
_SERVER_ERROR: Final = 500
_RETRIED: Final = frozenset({408, 425, 429})  # beside every 5xx
_NOT_OURS: Final = frozenset({401, 403})  # our own token is refused: not the caller's fault

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """The service understood the request and will not have it: an answer of the 4xx kind."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response
        self.status = response.status_code
        self.problem, self.detail = "refused", response.reason_phrase
        try:
            document = msgspec.json.decode(response.content, type=ProblemDetails)
        except msgspec.MsgspecError:
            return
        self.problem = document.type.rpartition(":")[2] or self.problem
        self.detail = document.detail or document.title or self.detail


class _Node:
    """One URL of a service: what it has under way, whether it failed just now, and whether it is in.

    Attributes:
        load: weight of the calls under way.
        out: why it is not asked, as far as is known; empty while it is in.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.load = 0.0
        self.avoid_until = 0.0
        self.out = ""
        self._unanswered = 0
        self._calls: set[asyncio.Task[httpx.Response]] = set()
        self._lost: set[asyncio.Task[httpx.Response]] = set()

    async def call(self, work: Coroutine[Any, Any, httpx.Response], weight: float) -> httpx.Response:
        """Await `work`, which counts as under way meanwhile.

        Raises:
            NodeLostError: the node was given up.
        """
        task = asyncio.ensure_future(work)
        self._calls.add(task)
        self.load += weight
        try:
            return await task
        except asyncio.CancelledError:
            if task in self._lost:
                raise NodeLostError(self.url) from None
            raise
        finally:
            self.load -= weight
            self._calls.discard(task)
            self._lost.discard(task)

    def answered(self, out: str) -> None:
        """It answered a readiness question; `out` says why it is not ready, or nothing."""
        self._unanswered = 0
        self._set_out(out)

    def silent(self, error: str, *, refused: bool) -> None:
        """It did not answer a readiness question. One that refuses connections is not there at all."""
        self._unanswered += 1
        if refused or self._unanswered >= LOST_AFTER:
            self._set_out(f"no answer ({error})")
            self._lost |= self._calls
            for task in self._calls:
                task.cancel()

    def _set_out(self, out: str) -> None:
        if bool(out) != bool(self.out):
            log.warning(
                "node taken out: %s" if out else "node taken in%s",
                out,
                extra={"action": "pool", "node": self.url},
            )
        self.out = out


class NodeLostError(Exception):
    """A node stopped answering while it had a call under way."""


class Upstream:
    """A service behind one or more URLs; the one with the least under way is asked first.

    Args:
        audience: `ai` or `speech`: name of the service in tokens and messages.
        read_timeout: seconds to wait for an answer once connected.
    """

    def __init__(self, audience: str, urls: list[str], signer: TokenSigner, read_timeout: float) -> None:
        self.audience = audience
        self._nodes = [_Node(url) for url in urls]
        self._signer = signer
        self._token, self._token_until = "", 0.0
        self._watching: asyncio.Task[None] | None = None
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(read_timeout, connect=CONNECT_TIMEOUT),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Stop watching, close every connection."""
        if self._watching is not None:
            self._watching.cancel()
        await self._http.aclose()

    def _authorization(self) -> str:
        now = time.monotonic()
        if now >= self._token_until:
            self._token = self._signer.sign(
                subject="service:gateway", audience=self.audience, scopes=frozenset({"service"})
            )
            self._token_until = now + INTERNAL_LIFETIME - _TOKEN_MARGIN
        return f"Bearer {self._token}"

    def _by_load(self) -> list[_Node]:
        now = time.monotonic()
        shuffled = random.sample(self._nodes, len(self._nodes))
        return sorted(shuffled, key=lambda node: (bool(node.out), node.avoid_until > now, node.load))

    def watch(self) -> None:
        """Ask every node, again and again, whether it is ready, until `close`."""
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.gather(*(self._probe(node) for node in self._nodes))
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe(self, node: _Node) -> None:
        try:
            response = await self._http.get(f"{node.url}/readyz", timeout=PROBE_TIMEOUT)
        except httpx.TransportError as error:
            node.silent(type(error).__name__, refused=isinstance(error, httpx.ConnectError))
            return
        node.answered("" if response.is_success else _said(response) or f"status {response.status_code}")

    async def post(
        self, path: str, request: Callable[[], Mapping[str, Any]], *, seconds: float, weight: float = 1.0
    ) -> httpx.Response:
        """POST until some node answers.

        Args:
            request: makes httpx's arguments of the body, once for each attempt.
            seconds: for which an unavailable service is asked again.
            weight: how much work this is, compared with other calls.

        Raises:
            RefusedError: an answer of the 4xx kind.
            Unavailable: no node could answer within `seconds`.
        """
        deadline = time.monotonic() + seconds
        pause = _FIRST_PAUSE
        # A balancer on the way may repeat the call as this does: its key says so.
        key = uuid.uuid4().hex
        while True:
            wait = pause
            for node in self._by_load():
                response = await self._attempt(node, path, request, weight, key)
                if response is None:
                    continue
                if response.is_success:
                    return response
                if response.status_code >= _SERVER_ERROR or response.status_code in _RETRIED:
                    node.avoid_until = time.monotonic() + _AVOID
                    wait = max(wait, _retry_after(response))
                    continue
                if response.status_code in _NOT_OURS:
                    log.error("our token is refused", extra={"action": path, "service": self.audience})
                    raise Unavailable(
                        f"the {self.audience} service refuses the gateway", retry_after=RETRY_AFTER
                    )
                raise RefusedError(response)
            wait *= random.uniform(0.5, 1.0)  # noqa: S311  (jitter)
            if time.monotonic() + wait > deadline:
                raise Unavailable(f"the {self.audience} service is not available", retry_after=RETRY_AFTER)
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _attempt(
        self, node: _Node, path: str, request: Callable[[], Mapping[str, Any]], weight: float, key: str
    ) -> httpx.Response | None:
        given = dict(request())
        own = {"Authorization": self._authorization(), "Idempotency-Key": key}
        headers = {**given.pop("headers", {}), **own}
        try:
            return await node.call(self._http.post(node.url + path, headers=headers, **given), weight)
        except (httpx.TransportError, NodeLostError) as error:
            node.avoid_until = time.monotonic() + _AVOID
            log.warning(
                "no answer", extra={"action": path, "service": self.audience, "error": type(error).__name__}
            )
            return None

    async def ready(self) -> str:
        """What the readiest node says of itself.

        Raises:
            Unavailable: none of them is ready; says why not.
        """
        said: list[str] = []
        for node in self._by_load():
            try:
                response = await self._http.get(f"{node.url}/readyz", timeout=PROBE_TIMEOUT)
                details = _said(response) or "ready"
            except (httpx.TransportError, msgspec.MsgspecError) as error:
                said.append(f"no answer ({type(error).__name__})")
                continue
            if response.is_success:
                return details
            said.append(details)
        raise Unavailable(f"the {self.audience} service is not ready: {' | '.join(said)}")


class _Check(msgspec.Struct):
    detail: str = ""


class _Readiness(msgspec.Struct):
    checks: dict[str, _Check] = {}


def _said(response: httpx.Response) -> str:
    """What a node says of itself."""
    try:
        checks = msgspec.json.decode(response.content, type=_Readiness).checks
    except msgspec.MsgspecError:
        return f"something else than a readiness report ({response.status_code})"
    return "; ".join(f"{name}: {check.detail}" for name, check in checks.items())


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(float(response.headers.get("Retry-After", "0")), _LONGEST_PAUSE)
    except ValueError:  # an HTTP date
        return 0.0
