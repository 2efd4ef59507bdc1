"""What every provider has in common: the call, the completion, and the one error."""

from typing import Final, Literal, Protocol

import msgspec

from orbitbot.ai.models import Answer, Question
from orbitbot.ai.prompt import PromptMessage

Purpose = Literal["chat", "summary", "transcription", "test", "judge"]
KEY: Final = "key"  # a fault of the key: no other model will do better with it
MODEL: Final = "model"


class ProviderError(Exception):
    """A provider gave no usable answer. The text says why, without key, prompt or answer.

    Attributes:
        fault: `key` or `model`: what of the two is no use at the moment.
        retry: asking the same again may help.
        retry_after: seconds that the service wants to be left alone; None if it does not say.
        begun: the service had taken the request, so that it may want to be paid.
        text: what had come of an answer by then.
    """

    def __init__(
        self,
        reason: str,
        *,
        fault: str = MODEL,
        retry: bool = False,
        retry_after: float | None = None,
        begun: bool = False,
        text: str = "",
    ) -> None:
        super().__init__(reason)
        self.fault = fault
        self.retry = retry
        self.retry_after = retry_after
        self.begun = begun
        self.text = text


class ToolCall(msgspec.Struct, frozen=True):
    """A tool that the model wants to be called; `arguments` is the JSON that it wrote."""

    id: str
    name: str
    arguments: str


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool that a model may call; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, object]


class Call(msgspec.Struct, frozen=True):
    """One question to one model.

    Attributes:
        deadline: by the event loop's clock.
    """

    model: str
    messages: tuple[PromptMessage, ...]
    temperature: float
    max_tokens: int
    deadline: float
    tools: tuple[ToolSpec, ...] = ()


class Completion(msgspec.Struct, frozen=True):
    """What a service returned.

    Attributes:
        prompt_tokens, completion_tokens: as reported, or estimated where that cannot be.
        cost_usd: as reported; None where it is not, or cannot be.
        cut: the model stopped at its limit of tokens.
    """

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    milliseconds: float
    tool_calls: tuple[ToolCall, ...] = ()
    cut: bool = False


class Provider(Protocol):
    """Answers a question, always."""

    async def answer(self, question: Question) -> Answer:
        """The answer."""
        ...
