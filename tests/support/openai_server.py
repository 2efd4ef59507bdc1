"""A local OpenAI-compatible server for tests: real HTTP, scripted answers, every request recorded.

It is what the AI service's real `openai` client talks to. A *reply* decides what happens to one
request; `replies` are used up in order, then `by_model` and `default` answer everything else.
"""

import json
import re
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
    asked: Recorded

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked = Recorded(self.path, headers, json.loads(body))
        self.server.owner.take(self.asked)(self)

    def do_GET(self) -> None:
        self.server.owner.lists_read += 1
        self.server.owner.models(self)

    def begin_stream(self) -> None:
        """Send the head of a streamed answer; it ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, content: object) -> None:
        """Send one server-sent event."""
        self.wfile.write(b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n")
        self.wfile.flush()

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
    request_queue_size = 256
    owner: "OpenAIServer"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests want to see; it is no error here."""


def chunk(text: str | None = None, **fields: Any) -> dict[str, Any]:
    """One event of a streamed answer."""
    delta = {} if text is None else {"content": text}
    return {"id": "gen-1", "object": "chat.completion.chunk", "model": "test/model",
            "choices": [{"index": 0, "delta": delta, "finish_reason": None, **fields}]}  # fmt: skip


def says(text: str | None, usage: object = USAGE, model: str = "test/model", finish: str = "stop") -> Reply:
    """A completion with this text, streamed word by word if the caller wants it so; `None` is JSON's null."""

    def reply(handler: _Handler) -> None:
        if not handler.asked.body.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "finish_reason": finish, "message": message}
            body({"id": "gen-1", "object": "chat.completion", "model": model, "choices": [choice],
                  "usage": usage})(handler)  # fmt: skip
            return
        handler.begin_stream()
        handler.wfile.write(b": OPENROUTER PROCESSING\n\n")
        for word in re.findall(r"\s*\S+|\s+$", text or ""):
            handler.event(chunk(word) | {"model": model})
        handler.event(chunk(finish_reason=finish) | {"model": model})
        handler.event({"id": "gen-1", "model": model, "choices": [], "usage": usage})
        handler.wfile.write(b"data: [DONE]\n\n")

    return reply


def says_whole(text: str) -> Reply:
    """A completion as one JSON document, although it was to be streamed."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return body({"id": "gen-1", "model": "test/model", "choices": [choice], "usage": USAGE})


def calls_tools(*calls: tuple[str, str]) -> Reply:
    """A completion that calls tools, each (name, arguments as JSON), in pieces as services send them."""

    def reply(handler: _Handler) -> None:
        handler.begin_stream()
        for index, (name, arguments) in enumerate(calls):
            first = {"index": index, "id": f"call-{index}", "type": "function",
                     "function": {"name": name, "arguments": arguments[:3]}}  # fmt: skip
            rest = {"index": index, "function": {"arguments": arguments[3:]}}
            for part in (first, rest):
                handler.event({"model": "test/model", "choices": [{"delta": {"tool_calls": [part]}}]})
        handler.event(chunk(finish_reason="tool_calls"))
        handler.event({"choices": [], "usage": USAGE})
        handler.wfile.write(b"data: [DONE]\n\n")

    return reply


def streams(*events: object, done: bool = False) -> Reply:
    """Any events, and then the end of the connection."""

    def reply(handler: _Handler) -> None:
        handler.begin_stream()
        for each in events:
            handler.event(each)
        if done:
            handler.wfile.write(b"data: [DONE]\n\n")

    return reply


def stalls_after(text: str) -> Reply:
    """Begin to answer, and then send comments for ever."""

    def reply(handler: _Handler) -> None:
        handler.begin_stream()
        handler.event(chunk(text))
        while not handler.server.owner.released.wait(0.1):
            handler.wfile.write(b": still here\n\n")
            handler.wfile.flush()

    return reply


def drips(handler: _Handler) -> None:
    """One byte at a time, and no end."""
    handler.begin_stream()
    for byte in b"data: " + b"x" * 10_000:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if handler.server.owner.released.wait(0.1):
            return


def cuts_stream(handler: _Handler) -> None:
    """Promise chunks, send half an answer and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    event = b"data: " + json.dumps(chunk("Meia res")).encode() + b"\n\n"
    handler.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
    handler.wfile.flush()
    handler.close_connection = True


def model_list(**prices: tuple[float, float, int]) -> Reply:
    """A list of models: name → USD for a token of the prompt and of the answer, context; `__` is a slash."""
    data = [
        {"id": name.replace("__", "/"), "context_length": context,
         "pricing": {"prompt": f"{prompt:.10f}", "completion": f"{completion:.10f}"}}
        for name, (prompt, completion, context) in prices.items()
    ]  # fmt: skip
    return body({"data": data})


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
        self.models: Reply = fails(404)
        self.lists_read = 0
        self.by_model: dict[str, Reply] = {}
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
            if self.replies:
                return self.replies.popleft()
            return self.by_model.get(str(request.body.get("model")), self.default)

    def reset(self) -> None:
        """Forget requests and replies, and release what hangs."""
        self.released.set()
        with self._lock:
            self.released = threading.Event()
            self.replies.clear()
            self.requests.clear()
            self.by_model.clear()
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
