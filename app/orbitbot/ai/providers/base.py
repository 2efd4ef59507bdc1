"""The port that every provider implements."""

from typing import ClassVar, Protocol

from orbitbot.ai.models import Answer, Question


class ProviderError(Exception):
    """A provider gave no usable answer. The text says why, without key, prompt or answer."""


class Provider(Protocol):
    """Answers a question."""

    name: ClassVar[str]

    async def answer(self, question: Question) -> Answer:
        """The answer.

        Raises:
            ProviderError: there is none; another provider may be asked.
        """
        ...
