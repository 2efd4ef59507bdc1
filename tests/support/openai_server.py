"""A local OpenAI-compatible server for tests: real HTTP, scripted answers, every request recorded.

It is what the AI service's real `openai` client talks to. A *reply* decides what happens to one
request; `replies` are used up in order, then `default` answers everything else.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

HANG_LIMIT: Final = 30.0  # seconds; a forgotten `hang` ends by then
USAGE: Final = {"prompt_tokens": 120, "completion_tokens": 12, "total_tokens": 132, "cost": 0.000345}


@dataclass(frozen=True)
class Recorded:
    """One request as the server got it; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt."""
        messages: list[dict[str, str]] = self.body["messages"]
        return messages

    @property
    def text(self) -> str:
        """The whole request body, to search in."""
        return json.dumps(self.body, ensure_ascii=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.owner.take(Recorded(self.path, headers, json.loads(body)))(self)

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Keep the test's output free of access logs."""


Reply = Callable[[_Handler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: "OpenAIServer"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests want to see; it is no error here."""


def says(text: str | None, usage: object = USAGE, model: str = "test/model") -> Reply:
    """A completion with this text; `None` is JSON's null."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return body(
        {"id": "gen-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    )


def body(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Any JSON with any status."""
    return raw(json.dumps(content).encode(), status, headers)


def raw(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Any bytes, said to be JSON."""
    return lambda handler: handler.answer(status, content, headers)


def fails(status: int, headers: Mapping[str, str] | None = None) -> Reply:
    """An error as the service itself reports it, with a text that must not get anywhere."""
    return body({"error": {"code": status, "message": "SECRET-DETAIL of the provider"}}, status, headers)


def cuts_connection(handler: _Handler) -> None:
    """Promise a body and hang up in the middle of it."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"mess')
    handler.wfile.flush()
    handler.close_connection = True


def hangs(handler: _Handler) -> None:
    """Never answer (until the server is reset or stopped)."""
    handler.server.owner.released.wait(HANG_LIMIT)
    handler.close_connection = True


class OpenAIServer:
    """Listens on a free port of 127.0.0.1 between `start` and `stop`, or in a `with` block."""

    def __init__(self) -> None:
        self.default: Reply = says("Tudo certo!")
        self.replies: deque[Reply] = deque()
        self.requests: list[Recorded] = []
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The base URL to configure."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def take(self, request: Recorded) -> Reply:
        """Record a request and choose its reply."""
        with self._lock:
            self.requests.append(request)
            return self.replies.popleft() if self.replies else self.default

    def reset(self) -> None:
        """Forget requests and replies, and release what hangs."""
        self.released.set()
        with self._lock:
            self.released = threading.Event()
            self.replies.clear()
            self.requests.clear()
            self.default = says("Tudo certo!")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Release what hangs and stop listening."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
