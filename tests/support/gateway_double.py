"""A gateway for bot tests: a real HTTP server on 127.0.0.1 that keeps the contracts, with faults to order.

It counts what it got. Like the real one it answers a turn once, whatever happens to the requests, and
keeps the answer for repeats. `script` queues faults for one kind of call; `weather` decides by chance.
"""

import hashlib
import io
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from socketserver import BaseServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from multipart import MultipartParser, parse_options_header

from orbitbot.contracts.auth import TokenRequest, TokenResponse
from orbitbot.contracts.bot import GENERATION_HEADER, BotSettings, BotStatus
from orbitbot.contracts.commands import Command, CommandResult, Commands, Order
from orbitbot.contracts.messages import MessageAnswer, PostMessage, TurnState
from orbitbot.contracts.pairing import PairingEvent
from orbitbot.contracts.reports import Delivery, Reports, ReportsAccepted, SetAside

Call = Literal["token", "messages", "turns", "reports", "bot", "pairing", "commands", "results"]


@dataclass(frozen=True)
class Status:
    """Answer with an error status, without looking at the request."""

    status: int
    retry_after: int | None = None
    problem: str = "scripted"


@dataclass(frozen=True)
class Later:
    """Take the turn, answer 202, and let it run for `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Interrupted:
    """Take the turn, and say that the worker running it has gone."""


@dataclass(frozen=True)
class DropBefore:
    """Close the connection without processing the request."""


@dataclass(frozen=True)
class DropAfter:
    """Process the request and close the connection: the answer is lost on the wire."""


@dataclass(frozen=True)
class Hang:
    """Process the request and answer nothing for `seconds`, then close."""

    seconds: float


@dataclass(frozen=True)
class Garbage:
    """Answer 200 with a body that is no answer."""


Fault = Status | Later | Interrupted | DropBefore | DropAfter | Hang | Garbage


@dataclass
class TurnSeen:
    """A turn as the double keeps it."""

    id: str
    fingerprint: str
    post: PostMessage
    notes: dict[str, str]  # member id -> SHA-256 of the voice note that came with it
    answer: str
    state: TurnState
    reason: str = ""
    ready_at: float = 0.0
    posts: int = 1
    first_at: float = field(default_factory=time.monotonic)


class GatewayDouble:
    """Start it with `with GatewayDouble() as gateway:`.

    Attributes:
        answer: makes the answer of a post. Default: `Resposta a:` and the message.
        decide: may make a turn end `("silenced" | "failed", reason)` instead.
        turns: every turn by id, in the order of their first post.
        holds_polls: whether `wait` is heeded.
        pairings: what the bot told about linking a phone.
        results: command id → what became of it, every time that it was told.
        generation: a bot that shows a lower one is refused.
        wrong: whatever broke the contract: a key used for another body, a message in two turns.
    """

    credential: Mapping[str, str] = {"credentialId": "bot.padaria.1", "secret": "a-secret-for-tests"}

    def __init__(self, client_id: str = "padaria", settings: BotSettings | None = None) -> None:
        self.client_id = client_id
        self.settings = settings or BotSettings(
            quiet_seconds=0.15, burst_seconds=1.0, loop_turns=1000, typing_characters_per_second=0
        )
        self.answer: Callable[[PostMessage], str] = lambda post: f"Resposta a: {post.message or 'voz'}"
        self.decide: Callable[[PostMessage], tuple[TurnState, str] | None] = lambda post: None
        self.turns: dict[str, TurnSeen] = {}
        self.messages: dict[str, str] = {}
        self.reports: list[SetAside | Delivery] = []
        self.statuses: list[BotStatus] = []
        self.pairings: list[PairingEvent] = []
        self.results: dict[int, list[CommandResult]] = defaultdict(list)
        self.generation = 0
        self.tokens: list[str] = []
        self._commands: list[Command] = []
        self._given = threading.Condition()
        self.calls: dict[str, int] = defaultdict(int)
        self.wrong: list[str] = []
        self._valid: set[str] = set()
        self._scripts: dict[Call, deque[Fault]] = defaultdict(deque)
        self._weather: tuple[Random, float, list[Fault]] | None = None
        self._lock = threading.RLock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self.port = 0
        self.holds_polls = True

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before if it was started before."""
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", self.port), _handler_for(self))
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and break every connection; what was seen stays."""
        if self._server is not None and self._thread is not None:
            self._stopped.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> "GatewayDouble":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nothing listens inside this block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def script(self, call: Call, *faults: Fault) -> None:
        """Let the next calls of a kind meet these faults, one each."""
        with self._lock:
            self._scripts[call].extend(faults)

    def weather(self, random: Random, share: float, faults: list[Fault]) -> None:
        """From now on let `share` (0 to 1) of all calls meet one of `faults` by chance."""
        with self._lock:
            self._weather = (random, share, faults)

    def scripted(self, call: Call) -> int:
        """How many scripted faults have not been met yet."""
        with self._lock:
            return len(self._scripts[call])

    def fair_weather(self) -> None:
        """No more faults."""
        with self._lock:
            self._weather = None
            self._scripts.clear()

    def revoke_tokens(self) -> None:
        """No token issued so far is taken any more."""
        with self._lock:
            self._valid.clear()

    def give(self, order: Order, lifetime: float = 600.0) -> int:
        """Tell the bot to do something; the command's id."""
        with self._given:
            command = Command(
                id=len(self._commands) + 1,
                order=msgspec.Raw(msgspec.json.encode(order)),
                created_at=time.time(),
                expires_at=time.time() + lifetime,
            )
            self._commands.append(command)
            self._given.notify_all()
        return command.id

    # What the handler calls

    def pending(self, wait: float) -> list[Command]:
        deadline = time.monotonic() + wait
        with self._given:
            while not (waiting := [each for each in self._commands if each.id not in self.results]):
                left = deadline - time.monotonic()
                if left <= 0 or self.is_stopped():
                    break
                self._given.wait(min(left, 0.1))
            return waiting

    def fault(self, call: Call) -> Fault | None:
        with self._lock:
            self.calls[call] += 1
            if self._scripts[call]:
                return self._scripts[call].popleft()
            if self._weather is not None:
                random, share, faults = self._weather
                if random.random() < share:
                    return random.choice(faults)
            return None

    def issue(self, request: TokenRequest) -> TokenResponse | None:
        with self._lock:
            given = (request.grant_type, request.client_id, request.client_secret)
            if given != ("client_credentials", self.credential["credentialId"], self.credential["secret"]):
                return None
            token = f"token-{len(self.tokens)}"
            self.tokens.append(token)
            self._valid.add(token)
            return TokenResponse(access_token=token, expires_in=300, scope="bot")

    def is_valid(self, authorization: str | None) -> bool:
        with self._lock:
            return authorization is not None and authorization.removeprefix("Bearer ") in self._valid

    def post(
        self, turn_id: str, post: PostMessage, notes: dict[str, bytes], raw: bytes, delay: float
    ) -> TurnSeen:
        fingerprint = hashlib.sha256(raw).hexdigest()
        with self._lock:
            seen = self.turns.get(turn_id)
            if seen is not None:
                seen.posts += 1
                if seen.fingerprint != fingerprint:
                    self.wrong.append(f"turn {turn_id} was posted again with another body")
                return seen
            for member in post.members:
                before = self.messages.get(member.id)
                if before is not None and before not in post.replaces:
                    self.wrong.append(f"message {member.id} is in two turns")
                self.messages[member.id] = turn_id
            voices = {member.id for member in post.members if member.type == "voice"}
            if not set(notes) <= voices:
                self.wrong.append(
                    f"turn {turn_id} has files of {set(notes) - voices}, which are no voice notes"
                )
            decided = self.decide(post)
            state, reason = decided or ("answered", "")
            seen = TurnSeen(
                id=turn_id,
                fingerprint=fingerprint,
                post=post,
                notes={name: hashlib.sha256(note).hexdigest() for name, note in notes.items()},
                answer="" if decided else self.answer(post),
                state=state,
                reason=reason,
                ready_at=time.monotonic() + delay,
            )
            self.turns[turn_id] = seen
            return seen

    def take_reports(self, reports: Reports) -> int:
        with self._lock:
            self.reports.extend(reports.reports)
            return len(reports.reports)

    def deliveries(self, turn_id: str) -> list[str]:
        """The states reported for a turn, repeats left out, in the order in which they first came."""
        with self._lock:
            states = [
                each.state for each in self.reports if isinstance(each, Delivery) and each.turn == turn_id
            ]
        return list(dict.fromkeys(states))

    def has_delivered(self, messages: set[str]) -> bool:
        """Whether exactly these messages came, and the delivery of every turn was reported.

        A turn is taken in several steps: one look without the lock could fall between two of them.
        """
        with self._lock:
            return set(self.messages) == messages and all(
                "delivered" in self.deliveries(turn) for turn in self.turns
            )

    def set_aside(self) -> dict[str, str]:
        """Message id → reason, of everything reported as set aside."""
        with self._lock:
            return {each.message_id: each.reason for each in self.reports if isinstance(each, SetAside)}

    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond a stop."""
        self._stopped.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A bot that is killed breaks its connections: nothing to print."""


def _handler_for(gateway: GatewayDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        double = gateway

    return Handler


class _Handler(BaseHTTPRequestHandler):
    double: GatewayDouble
    protocol_version = "HTTP/1.1"
    timeout = 60

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it)
        """Tests look at what was seen, not at a log."""

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = self._call()
        if call is None or self.double.is_stopped():
            self.close_connection = True
            if call is None:
                self._problem(404, "not-found")
            return
        fault = self.double.fault(call)
        match fault:
            case Status():
                self._problem(fault.status, fault.problem, fault.retry_after)
            case DropBefore():
                self.close_connection = True
            case Garbage():
                self._reply(200, b'{"response": "\xff"}')
            case _:
                if call != "token" and not self.double.is_valid(self.headers.get("Authorization")):
                    self._problem(401, "unauthenticated")
                    return
                if call != "token" and int(self.headers.get(GENERATION_HEADER, "0")) < self.double.generation:
                    self._problem(409, "superseded")
                    return
                status, body, headers = getattr(self, f"_{call}")(raw, fault)
                if isinstance(fault, Hang):
                    self.double.pause(fault.seconds)
                if isinstance(fault, Hang | DropAfter):
                    self.close_connection = True
                    return
                self._reply(status, body, headers)

    def _call(self) -> Call | None:
        path = urlsplit(self.path).path
        base = f"/api/clients/{self.double.client_id}/"
        if (self.command, path) == ("POST", "/api/auth/token"):
            return "token"
        if not path.startswith(base):
            return None
        calls: dict[tuple[str, str], Call] = {
            ("POST", "messages"): "messages",
            ("GET", "turns"): "turns",
            ("POST", "reports"): "reports",
            ("PUT", "bot"): "bot",
            ("GET", "commands"): "commands",
            ("POST", "commands"): "results",
        }
        if (self.command, path) == ("PUT", f"{base}bot/pairing"):
            return "pairing"
        return calls.get((self.command, path.removeprefix(base).partition("/")[0]))

    def _token(self, raw: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        token = self.double.issue(msgspec.json.decode(raw, type=TokenRequest))
        if token is None:
            return 401, _problem_body(401, "unauthenticated"), {}
        return 200, msgspec.json.encode(token), {}

    def _messages(self, raw: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        turn_id = self.headers["Idempotency-Key"]
        post, notes = _read_post(self.headers["Content-Type"], raw)
        seen = self.double.post(turn_id, post, notes, raw, fault.seconds if isinstance(fault, Later) else 0.0)
        if isinstance(fault, Interrupted):
            answer = MessageAnswer(response="", turn=turn_id, state="received", interrupted=True)
            return 200, msgspec.json.encode(answer), {}
        if time.monotonic() < seen.ready_at:
            answer = MessageAnswer(response="", turn=turn_id, state="answering")
            location = f"/api/clients/{self.double.client_id}/turns/{turn_id}"
            return 202, msgspec.json.encode(answer), {"Location": location, "Retry-After": "1"}
        return 200, _answer_body(seen), {}

    def _turns(self, raw: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        url = urlsplit(self.path)
        turn_id = url.path.rpartition("/")[2]
        seen = self.double.turns.get(turn_id)
        if seen is None:
            return 404, _problem_body(404, "not-found"), {}
        if isinstance(fault, Interrupted):
            answer = MessageAnswer(response="", turn=turn_id, state="answering", interrupted=True)
            return 200, msgspec.json.encode(answer), {}
        wait = float(parse_qs(url.query).get("wait", ["0"])[0]) if self.double.holds_polls else 0.0
        self.double.pause(min(wait, max(0.0, seen.ready_at - time.monotonic())))
        if time.monotonic() < seen.ready_at:
            answer = MessageAnswer(response="", turn=turn_id, state="answering")
            return 202, msgspec.json.encode(answer), {"Retry-After": "1"}
        return 200, _answer_body(seen), {}

    def _reports(self, raw: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        taken = self.double.take_reports(msgspec.json.decode(raw, type=Reports))
        return 200, msgspec.json.encode(ReportsAccepted(accepted=taken)), {}

    def _bot(self, raw: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        self.double.statuses.append(msgspec.json.decode(raw, type=BotStatus))
        return 200, msgspec.json.encode(self.double.settings), {}

    def _pairing(self, raw: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        event: PairingEvent = msgspec.json.decode(raw, type=PairingEvent)
        self.double.pairings.append(event)
        return 204, b"", {}

    def _commands(self, raw: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        wait = float(parse_qs(urlsplit(self.path).query).get("wait", ["0"])[0])
        waiting = self.double.pending(wait if self.double.holds_polls else 0.0)
        return 200, msgspec.json.encode(Commands(waiting)), {}

    def _results(self, raw: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        result = msgspec.json.decode(raw, type=CommandResult)
        self.double.results[int(self.path.split("/")[-2])].append(result)
        return 204, b"", {}

    def _problem(self, status: int, problem: str, retry_after: int | None = None) -> None:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self._reply(status, _problem_body(status, problem), headers, "application/problem+json")

    def _reply(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, kind: str = "application/json"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _problem_body(status: int, problem: str) -> bytes:
    return json.dumps(
        {"type": f"urn:orbitbot:problem:{problem}", "title": problem, "status": status}
    ).encode()


def _answer_body(seen: TurnSeen) -> bytes:
    return msgspec.json.encode(
        MessageAnswer(response=seen.answer, turn=seen.id, state=seen.state, reason=seen.reason)
    )


def _read_post(content_type: str, raw: bytes) -> tuple[PostMessage, dict[str, bytes]]:
    """The post and its files by member id."""
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data":
        return msgspec.json.decode(raw, type=PostMessage), {}
    parts = {}
    for part in MultipartParser(io.BytesIO(raw), options["boundary"], strict=True):
        parts[part.name] = part.raw
        part.close()
    post = msgspec.json.decode(parts.pop("payload"), type=PostMessage)
    return post, parts
