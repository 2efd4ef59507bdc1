"""A language model behind any OpenAI-compatible service (OpenRouter by default), by the `openai` client.

The body of an answer is decoded here, not by the client: services differ in what they leave out, some
report an error inside a 200, and none of that may end in anything but `ProviderError`.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, cast

import msgspec
import openai
from openai.types.chat import ChatCompletionMessageParam

from orbitbot.ai import prompt
from orbitbot.ai.models import Answer, Question
from orbitbot.ai.prompt import PromptMessage
from orbitbot.ai.providers.base import ProviderError
from orbitbot.ai.settings import ProviderSettings

TOKENS_LIMIT: Final = 5_000_000  # a count above this is not believed
COST_LIMIT: Final = 100.0  # USD for one answer; a higher one is not believed
CONNECT_TIMEOUT: Final = 5.0  # seconds

_STATUS_REASONS: Final = {
    400: "the request was refused",
    401: "the key was refused",
    402: "no credit left",
    403: "the key does not allow this, or the message was flagged",
    404: "no such model or address",
    408: "the service timed out",
    413: "the prompt was too large",
    429: "rate limited",
}


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: Any = None
    error: Any = None


class Completion(msgspec.Struct, frozen=True):
    """What the service returned; token counts and cost are checked or estimated."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    milliseconds: float


class OpenAICompatible:
    """Calls `POST {base_url}/chat/completions`.

    Args:
        key: returns the present API key; asked anew for every call.
    """

    name: ClassVar[str] = "openai_compatible"

    def __init__(self, settings: ProviderSettings, key: Callable[[], str]) -> None:
        self._settings = settings
        self._key = key
        headers = {"X-Title": settings.app_title, "HTTP-Referer": settings.app_url}
        self._client = openai.AsyncOpenAI(
            api_key="set for every call",
            base_url=settings.base_url,
            timeout=openai.Timeout(settings.timeout_seconds, connect=CONNECT_TIMEOUT),
            max_retries=settings.max_retries,
            default_headers={name: value for name, value in headers.items() if value},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def answer(self, question: Question) -> Answer:
        """The model's answer to the question.

        Raises:
            ProviderError: no usable answer within `timeout_seconds`.
        """
        client_settings = question.profile.settings
        completion = await self.complete(
            prompt.build(question),
            model=client_settings.model,
            temperature=client_settings.temperature,
            max_tokens=client_settings.max_answer_tokens,
        )
        return Answer(
            completion.text,
            model=completion.model,
            source="provider",
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            cost_usd=completion.cost_usd,
            provider_ms=completion.milliseconds,
        )

    async def complete(
        self, messages: Sequence[PromptMessage], *, model: str, temperature: float, max_tokens: int
    ) -> Completion:
        """One completion.

        Args:
            model: empty for the operator's default.

        Raises:
            ProviderError: as in `answer`.
        """
        model = model or self._settings.default_model
        started = time.perf_counter()
        body = await self._post(messages, model, temperature, max_tokens)
        milliseconds = (time.perf_counter() - started) * 1000
        text = _text(body)
        usage = body.usage if isinstance(body.usage, dict) else {}
        return Completion(
            text=text,
            model=body.model or model,
            prompt_tokens=_count(usage.get("prompt_tokens"), [message.content for message in messages]),
            completion_tokens=_count(usage.get("completion_tokens"), [text]),
            cost_usd=_cost(usage.get("cost")),
            milliseconds=milliseconds,
        )

    async def _post(
        self, messages: Sequence[PromptMessage], model: str, temperature: float, max_tokens: int
    ) -> _Body:
        limit = self._settings.timeout_seconds
        client = self._client.with_options(api_key=self._key())
        try:
            # The client's own timeout is per attempt, and it would obey a Retry-After of two minutes.
            async with asyncio.timeout(limit):
                raw = await client.chat.completions.with_raw_response.create(
                    model=model,
                    messages=cast(list[ChatCompletionMessageParam], msgspec.to_builtins(messages)),
                    temperature=temperature,
                    extra_body={self._settings.answer_limit_field: max_tokens},
                )
            return msgspec.json.decode(raw.content, type=_Body)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise ProviderError(f"no answer within {limit:g} s") from error
        except openai.APIStatusError as error:
            raise ProviderError(_status_reason(error.status_code)) from error
        except openai.APIConnectionError as error:
            raise ProviderError(f"cannot connect ({type(error.__cause__ or error).__name__})") from error
        except openai.OpenAIError as error:
            raise ProviderError(f"the call failed ({type(error).__name__})") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProviderError("bad answer: not a chat completion") from error


def _text(body: _Body) -> str:
    """The first choice's text.

    Raises:
        ProviderError: an error in the body, no choice, or nothing in it.
    """
    if body.error:
        code = body.error.get("code") if isinstance(body.error, dict) else None
        raise ProviderError(
            f"error inside a successful answer: {_status_reason(code)}"
            if isinstance(code, int)
            else "error inside a successful answer"
        )
    if not body.choices:
        raise ProviderError("bad answer: no choices")
    message = body.choices[0].message
    text = "" if message is None or message.content is None else message.content.replace("\0", "").strip()
    if not text:
        raise ProviderError("bad answer: no text")
    return text


def _status_reason(status: int) -> str:
    reason = _STATUS_REASONS.get(status, "the service failed" if status >= 500 else "the call failed")  # noqa: PLR2004
    return f"{reason} ({status})"


def _count(reported: object, texts: Sequence[str]) -> int:
    """A token count as reported, or an estimate where that is missing or absurd."""
    if isinstance(reported, int) and not isinstance(reported, bool) and 0 <= reported <= TOKENS_LIMIT:
        return reported
    return prompt.estimate_tokens(texts)


def _cost(reported: object) -> float:
    """OpenRouter's `usage.cost` in USD; 0 where there is none or it is absurd."""
    if isinstance(reported, int | float) and math.isfinite(reported) and 0 <= reported <= COST_LIMIT:
        return float(reported)
    return 0.0
