"""The AI service and a speech node as small real HTTP servers that speak the contracts and do as told."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Literal, Self

import msgspec
from multipart import MultipartSegment, PushMultipartParser, parse_options_header

from orbitbot.contracts.chat import ChatRequest, ChatResponse
from orbitbot.contracts.improve_transcription import ImprovedTranscription, ImproveTranscription
from orbitbot.contracts.messages import SilenceReason
from orbitbot.contracts.plugins import CheckPlugins, PluginList, PluginProblem, PluginProblems, PluginView
from orbitbot.contracts.transcribe import Transcription
from orbitbot.foundation.errors import OrbitBotError, Unauthenticated, Unavailable
from orbitbot.foundation.tokens import TokenVerifier
from tests.support.keys import Keys

HOLD_LIMIT: Final = 30.0  # seconds after which a held answer is given anyway


class Upstream:
    """What both have in common: a server, a check of the caller's token, failures on demand.

    Attributes:
        refuse: raised as its problem document instead of an answer, while set.
        unavailable: how many more calls are answered 503.
        ready: whether it says that it is.
        mute: it says nothing when it is asked whether it is ready.
    """

    audience = ""

    def __init__(self, keys: Keys) -> None:
        self._verifier = TokenVerifier(keys.public_pem, self.audience)
        self._answering = threading.Event()
        self._arrived = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self._connections: list[socket.socket] = []
        self.reset()

    def reset(self) -> None:
        """Forget what was asked, and behave."""
        self.refuse: OrbitBotError | None = None
        self.unavailable = 0
        self.ready = True
        self.mute = False
        self.arrived = 0
        self._answering.set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen; after a `stop`, on the same port again."""
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                deadline = time.monotonic() + HOLD_LIMIT
                while upstream.mute and time.monotonic() < deadline:
                    time.sleep(0.05)
                body = msgspec.json.encode(
                    {"checks": {upstream.audience: {"ok": upstream.ready, "detail": "a double"}}}
                )
                self._send(HTTPStatus.OK if upstream.ready else HTTPStatus.SERVICE_UNAVAILABLE, body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                try:
                    self._send(HTTPStatus.OK, upstream.handle(self.path, dict(self.headers.items()), body))
                except OrbitBotError as error:
                    document = {
                        "type": f"urn:orbitbot:problem:{error.problem}",
                        "title": error.title,
                        "status": error.status,
                        "detail": error.detail,
                    }
                    self._send(error.status, msgspec.json.encode(document), "application/problem+json")

            def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the base's name)
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def process_request(self, request: Any, client_address: Any) -> None:
                upstream._connections.append(request)
                super().process_request(request, client_address)

            def handle_error(self, request: Any, client_address: Any) -> None:
                return  # a gateway that was killed has hung up

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        """Refuse connections and drop those there are."""
        if self._server is not None:
            self._answering.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            for connection in self._connections:  # kept alive, they would be served on
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._connections.clear()

    def die(self) -> None:
        """Hang up in the middle of every call, and refuse connections."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def hold(self) -> None:
        """Let calls wait until `release`."""
        self._answering.clear()

    def release(self) -> None:
        """Answer what waits."""
        self._answering.set()

    def wait_arrived(self, calls: int, timeout: float = 10.0) -> None:
        """Wait until so many calls have come since the last `reset`."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.arrived >= calls, timeout):
                raise TimeoutError(f"{self.audience}: {self.arrived} calls within {timeout} s, not {calls}")

    def handle(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """One call; the answer's body."""
        principal = self._verifier.verify(headers.get("Authorization", "").removeprefix("Bearer "))
        if principal.scopes != {"service"}:
            raise Unauthenticated(f"scopes {sorted(principal.scopes)} are not a service's")
        with self._arrived:
            self.arrived += 1
            self._arrived.notify_all()
        self._answering.wait(HOLD_LIMIT)
        if self.unavailable > 0:
            self.unavailable -= 1
            raise Unavailable("told to be unavailable")
        if self.refuse is not None:
            raise self.refuse
        return self.answer(path, headers, body)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """What it has to say."""
        raise NotImplementedError


class AiDouble(Upstream):
    """Answers `echo: MESSAGE`, once for each turn.

    Attributes:
        asked: every question that was new, in order.
        improved: every transcription to improve.
        correct: what becomes of a transcript in a message's way.
        silenced: why no question is answered, while set.
    """

    audience = "ai"

    def reset(self) -> None:
        """See the base; also forget all exchanges."""
        super().reset()
        self.asked: list[ChatRequest] = []
        self.improved: list[ImproveTranscription] = []
        self.correct: Callable[[str], str] = lambda heard: heard
        self.silenced: SilenceReason | Literal[""] = ""
        self._stored: dict[tuple[str, str], ChatResponse] = {}
        self._lock = threading.Lock()

    def answer(  # noqa: PLR0911  (one for each path)
        self, path: str, headers: dict[str, str], body: bytes
    ) -> bytes:
        """`/api/chat` and `/api/improve-transcription`."""
        if path == "/api/improve-transcription":
            asked = msgspec.json.decode(body, type=ImproveTranscription)
            self.improved.append(asked)
            if asked.contact:  # in a message's way
                return msgspec.json.encode(ImprovedTranscription(self.correct(asked.transcription)))
            return msgspec.json.encode(ImprovedTranscription(asked.transcription.capitalize()))
        if path == "/api/check-plugins":
            plugins = msgspec.json.decode(body, type=CheckPlugins).plugins
            problems = [
                PluginProblem(f"settings.plugins.{name}", "no such plugin")
                for name in plugins
                if name not in {"known", "admin"}
            ]
            return msgspec.json.encode(PluginProblems(problems))
        if path == "/api/plugins":
            views = [PluginView(each, "", "orbitbot", False, [], {}) for each in ("admin", "known")]  # noqa: FBT003
            return msgspec.json.encode(PluginList(views))
        question = msgspec.json.decode(body, type=ChatRequest)
        key = (question.client_id, question.turn)
        with self._lock:
            stored = self._stored.get(key) if question.turn else None
            if stored is not None:
                return msgspec.json.encode(msgspec.structs.replace(stored, repeated=True))
            self.asked.append(question)
            said = f"echo: {question.message}" if question.heard else "I could not hear you"
            if self.silenced:
                quiet = ChatResponse(response="", model="", source="silenced", silenced=self.silenced)
                return msgspec.json.encode(quiet)
            fresh = ChatResponse(
                response=said,
                model="double-1",
                source="provider" if question.heard else "not_heard",
                prompt_tokens=11,
                completion_tokens=7,
                cost_usd=0.001,
                provider_ms=2.5,
            )
            self._stored[key] = fresh
            return msgspec.json.encode(fresh)


class SpeechDouble(Upstream):
    """Hears in a note what its bytes say in UTF-8.

    Attributes:
        notes: (form fields, bytes) of every note, in order of arrival.
        check: called with a note's bytes; may raise what the node would.
    """

    audience = "speech"

    def reset(self) -> None:
        """See the base; also forget all notes."""
        super().reset()
        self.notes: list[tuple[dict[str, str], bytes]] = []
        self.check: Callable[[bytes], None] = lambda note: None

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """`/api/transcribe`."""
        parts = _parts(headers["Content-Type"], body)
        audio = parts.pop("audio")
        fields = {name: content.decode() for name, content in parts.items()}
        self.notes.append((fields, audio))
        self.check(audio)
        return msgspec.json.encode(
            Transcription(
                transcription=audio.decode(), language="pt", confidence=0.9, duration=1.0, model="double"
            )
        )


def _parts(content_type: str, body: bytes) -> dict[str, bytes]:
    boundary = parse_options_header(content_type)[1]["boundary"]
    parts: dict[str, bytes] = {}
    name = ""
    with PushMultipartParser(boundary) as parser:
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                name = event.name
                parts[name] = b""
            elif event is not None:
                parts[name] += event
    return parts
