"""The texts that a contact gets when the assistant has no answer, in the client's language."""

from typing import Literal

from orbitbot.foundation import notices

Notice = Literal["no_answer", "not_heard", "get_back", "budget", "handed_over"]


def notice(name: Notice, language: str) -> str:
    """See `foundation.notices.notice`."""
    return notices.notice(name, language)
