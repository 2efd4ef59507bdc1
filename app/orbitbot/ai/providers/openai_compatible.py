"""A language model behind any OpenAI-compatible service (OpenRouter by default), by the `openai` client.

One call is one attempt: who asks again, or another model, is `providers.answering`. The answer is streamed,
so that one that has stalled is noticed long before the deadline.
"""

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec
import openai

from orbitbot.ai.prompt import PromptMessage, estimate_tokens
from orbitbot.ai.providers import stream
from orbitbot.ai.providers.base import Call, Completion, ProviderError
from orbitbot.ai.settings import ProviderSettings

CONNECT_TIMEOUT: Final = 5.0  # seconds
END_SECONDS: Final = 0.5  # that a connection may take to end after the answer has
LONGEST_RETRY_AFTER: Final = 3600.0  # seconds; a longer one is not believed
_EVENT_STREAM: Final = "text/event-stream"


class OpenAICompatible:
    """Calls `POST {base_url}/chat/completions`."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        headers = {"X-Title": settings.app_title, "HTTP-Referer": settings.app_url}
        self._client = openai.AsyncOpenAI(
            api_key="set for every call",
            base_url=settings.base_url,
            timeout=openai.Timeout(settings.timeout_seconds, connect=CONNECT_TIMEOUT),
            max_retries=0,
            default_headers={name: value for name, value in headers.items() if value},
        )
        self._is_openrouter = (urlsplit(settings.base_url).hostname or "").endswith("openrouter.ai")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def complete(self, call: Call, key: str) -> Completion:
        """One completion.

        Raises:
            ProviderError: no usable answer by the call's deadline, or the stream has stalled.
        """
        started = time.perf_counter()
        answer = stream.Assembly()
        try:
            await self._stream(call, key, answer)
        except openai.APIStatusError as error:
            raise stream.status_error(error.status_code, retry_after=_retry_after(error.response)) from error
        except (openai.APIConnectionError, openai.APITimeoutError) as error:
            cause = type(error.__cause__ or error).__name__
            raise ProviderError(f"cannot connect ({cause})", retry=True) from error
        except httpx2.HTTPError as error:
            if not answer.done:  # after the answer a connection may end as it likes
                raise ProviderError(
                    f"the stream was cut ({type(error).__name__})", retry=True, begun=True, text=answer.text
                ) from error
        except openai.OpenAIError as error:
            raise ProviderError(f"the call failed ({type(error).__name__})") from error
        answer.check_complete()
        text = answer.text
        return Completion(
            text=text,
            model=answer.model or call.model,
            prompt_tokens=stream.count(
                answer.usage.get("prompt_tokens"), estimate_tokens([each.content for each in call.messages])
            ),
            completion_tokens=stream.count(answer.usage.get("completion_tokens"), estimate_tokens((text,))),
            cost_usd=stream.cost(answer.usage.get("cost")),
            milliseconds=(time.perf_counter() - started) * 1000,
            tool_calls=answer.tool_calls(),
            cut=answer.cut,
        )

    async def _stream(self, call: Call, key: str, answer: stream.Assembly) -> None:
        """Read the answer. Only what brings it on counts as life: bytes and comments alone do not."""
        loop = asyncio.get_running_loop()
        begun = False
        try:
            async with (
                asyncio.timeout_at(call.deadline),
                asyncio.timeout(self._settings.first_token_seconds) as patience,
                self._client.chat.completions.with_streaming_response.create(
                    model=call.model,
                    messages=[],  # in the body below: the client would look at every word of them
                    temperature=call.temperature,
                    stream=True,
                    stream_options={"include_usage": True},
                    extra_headers={"Authorization": f"Bearer {key}"},
                    extra_body=self._body(call),
                ) as response,
            ):
                begun = True
                if not response.headers.get("content-type", "").startswith(_EVENT_STREAM):
                    answer.add(await _whole(response))
                    answer.done = True
                    return
                async for data in stream.data_lines(response.iter_bytes()):
                    if answer.add(data):
                        patience.reschedule(loop.time() + self._settings.stall_seconds)
                    if data == b"[DONE]":  # read on to the end, so that the connection can be used again
                        patience.reschedule(loop.time() + END_SECONDS)
        except TimeoutError as error:
            if answer.done:
                return  # only the count of tokens is missing
            if loop.time() >= call.deadline:
                reason = f"no answer within {self._settings.timeout_seconds:g} s"
            elif answer.text:
                reason = f"the stream stalled for {self._settings.stall_seconds:g} s"
            else:
                reason = f"no word within {self._settings.first_token_seconds:g} s"
            raise ProviderError(reason, begun=begun, text=answer.text) from error

    def _body(self, call: Call) -> dict[str, object]:
        body: dict[str, object] = {
            "messages": [_message(message) for message in call.messages],
            self._settings.answer_limit_field: call.max_tokens,
        }
        if self._is_openrouter:
            body["usage"] = {"include": True}
        if call.tools:
            body["tools"] = [{"type": "function", "function": msgspec.to_builtins(t)} for t in call.tools]
        return body

    async def models(self, key: str, seconds: float) -> bytes:
        """The service's list of models, as it came.

        Raises:
            ProviderError: there is none.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with asyncio.timeout(seconds):
                raw = await self._client.get("/models", cast_to=httpx2.Response, options={"headers": headers})
        except (openai.OpenAIError, httpx2.HTTPError, TimeoutError) as error:
            raise ProviderError(f"no list of models ({type(error).__name__})") from error
        return raw.content


async def _whole(response: Any) -> bytes:
    """A body that is not streamed, as far as an answer can be long."""
    parts: list[bytes] = []
    size = 0
    async for chunk in response.iter_bytes():
        size += len(chunk)
        if size > stream.BODY_LIMIT:
            raise ProviderError("bad answer: it does not end", begun=True)
        parts.append(chunk)
    return b"".join(parts)


def _message(message: PromptMessage) -> dict[str, object]:
    """A message in the form of the API."""
    fields: dict[str, object] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": each[0], "type": "function", "function": {"name": each[1], "arguments": each[2]}}
            for each in message.tool_calls
        ]
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _retry_after(response: httpx2.Response) -> float | None:
    """`Retry-After` in seconds, in either of its forms; None if there is none to be believed."""
    value = response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None  # noqa: PLR0124 (NaN)
