"""The body of a chat completion: server-sent events, or one JSON document, put together to one answer.

Decoded here and not by the `openai` client: services differ in what they leave out, some report an error
inside a 200, and none of that may end in anything but `ProviderError`.
"""

import math
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from orbitbot.ai.providers.base import KEY, MODEL, ProviderError, ToolCall

BODY_LIMIT: Final = 4_000_000  # bytes; an answer of 8192 tokens, one an event, is far below
TOKENS_FACTOR: Final = 4  # times our estimate, and …
TOKENS_SLACK: Final = 10_000  # … so many more (a model may think aloud): a higher count is not believed
COST_LIMIT: Final = 100.0  # USD for one answer; a higher one is not believed
TOOL_CALLS_LIMIT: Final = 8  # of one answer
_SERVER_ERROR: Final = 500

_REASONS: Final = {
    400: "the request was refused",
    401: "the key was refused",
    402: "no credit left",
    403: "the key does not allow this, or the message was flagged",
    404: "no such model or address",
    408: "the service timed out",
    409: "the service was busy with itself",
    413: "the prompt was too large",
    429: "rate limited",
}
_OF_THE_KEY: Final = frozenset({401, 402})
_RETRIED: Final = frozenset({408, 409, 425, 429})


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolDelta(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_ToolDelta] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    error: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: Any = None
    error: Any = None


class _Tool:
    def __init__(self) -> None:
        self.id = self.name = self.arguments = ""


def status_error(status: int, *, retry_after: float | None = None, inside: bool = False) -> ProviderError:
    """The error that an HTTP status means, or the same code inside a 200."""
    reason = _REASONS.get(status, "the service failed" if status >= _SERVER_ERROR else "the call failed")
    text = f"{reason} ({status})"
    return ProviderError(
        f"error inside a successful answer: {text}" if inside else text,
        fault=KEY if status in _OF_THE_KEY else MODEL,
        retry=not inside and (status in _RETRIED or status >= _SERVER_ERROR),
        retry_after=retry_after,
    )


async def data_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The `data` of server-sent events, without comments (OpenRouter's sign of life) and other fields.

    Raises:
        ProviderError: there is more than any answer can have.
    """
    rest, size = b"", 0
    async for chunk in chunks:
        size += len(chunk)
        if size > BODY_LIMIT:
            raise ProviderError("bad answer: it does not end", begun=True)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield rest[5:].strip()


class Assembly:
    """An answer as it comes in."""

    def __init__(self) -> None:
        self.done = False
        self.model = ""
        self.usage: dict[str, Any] = {}
        self.cut = False
        self._texts: list[str] = []
        self._tools: dict[int, _Tool] = {}
        self._chosen = False

    @property
    def text(self) -> str:
        """What has come so far."""
        return "".join(self._texts).replace("\0", "").strip()

    def add(self, data: bytes) -> bool:
        """Take one event, or a whole body; returns whether it brought the answer on.

        Raises:
            ProviderError: it is an error, or nothing that it should be.
        """
        if data == b"[DONE]":
            self.done = True
            return True
        try:
            chunk = msgspec.json.decode(data, type=_Chunk)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProviderError("bad answer: not a chat completion", begun=True, text=self.text) from error
        _raise_error(chunk.error)
        self.model = chunk.model or self.model
        if isinstance(chunk.usage, dict):
            self.usage = chunk.usage
        if not chunk.choices:
            return False
        self._chosen = True
        choice = chunk.choices[0]
        _raise_error(choice.error)
        if choice.finish_reason:
            self.done = True
            self.cut = choice.finish_reason == "length"
        return self._take(choice.delta or choice.message) or bool(choice.finish_reason)

    def _take(self, delta: _Delta | None) -> bool:
        if delta is None:
            return False
        if delta.content:
            self._texts.append(delta.content)
        for position, part in enumerate(delta.tool_calls or ()):
            tool = self._tools.setdefault(part.index or position, _Tool())
            tool.id = part.id or tool.id
            if part.function is not None:
                tool.name = part.function.name or tool.name
                tool.arguments += part.function.arguments or ""
        if len(self._tools) > TOOL_CALLS_LIMIT:
            raise ProviderError("bad answer: too many tools at once", begun=True)
        return bool(delta.content or delta.tool_calls)

    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools to be called, in order."""
        return tuple(
            ToolCall(tool.id or f"call_{index}", tool.name, tool.arguments or "{}")
            for index, tool in sorted(self._tools.items())
            if tool.name
        )

    def check_complete(self) -> None:
        """Refuse an answer that is none.

        Raises:
            ProviderError: it broke off, or there is nothing in it.
        """
        if not self._chosen:
            raise ProviderError("bad answer: no choices", begun=True)
        if not self.done:
            raise ProviderError("the stream was cut", retry=True, begun=True, text=self.text)
        if not self.text and not self.tool_calls():
            raise ProviderError("bad answer: no text", begun=True)


def _raise_error(error: Any) -> None:
    if not error:
        return
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    if isinstance(code, int) and not isinstance(code, bool):
        raise status_error(code, inside=True)
    raise ProviderError("error inside a successful answer")


def count(reported: object, estimate: int) -> int:
    """A token count as reported; the estimate where there is none, or it is far above that."""
    if isinstance(reported, bool) or not isinstance(reported, int):
        return estimate
    return reported if 0 <= reported <= TOKENS_FACTOR * estimate + TOKENS_SLACK else estimate


def cost(reported: object) -> float | None:
    """OpenRouter's `usage.cost` in USD; None where there is none or it is absurd."""
    if isinstance(reported, bool) or not isinstance(reported, int | float):
        return None
    return float(reported) if math.isfinite(reported) and 0 <= reported <= COST_LIMIT else None
