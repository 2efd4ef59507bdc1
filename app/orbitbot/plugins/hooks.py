"""The hooks that a plugin may implement (pluggy). Each implementation is marked `@hookimpl`."""

from datetime import datetime
from typing import Final

import msgspec
import pluggy

PROJECT: Final = "orbitbot"  # also the entry point group of plugins in other distributions

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class PromptContext(msgspec.Struct, frozen=True):
    """For whom, and when, a prompt is being built.

    Attributes:
        language: the client's, as a BCP 47 tag.
        timezone: the client's, as an IANA name.
        now: the present moment, in UTC.
    """

    client_id: str
    language: str
    timezone: str
    now: datetime


class Hooks:
    """The specifications; pluggy checks every plugin against them."""

    @hookspec
    def prompt_facts(self, context: PromptContext) -> str | None:
        """One short fact that the assistant should know for this answer, in the client's language.

        It is called for every answer, so it must be quick and must not do input or output. None, when
        there is nothing to say. It may not contain anything that a contact has written.
        """
