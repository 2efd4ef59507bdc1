"""`POST /api/clients/{clientId}/configure`: personality and settings, each change a new version."""

from typing import Annotated

import msgspec

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)]


class FaqEntry(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One question that the business answers itself, with other ways to ask it."""

    question: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    answer: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    also: list[Annotated[str, msgspec.Meta(min_length=1, max_length=500)]] = []


class ClientSettings(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Everything about a client that may be set. What is left out keeps its default."""

    model: str = ""  # empty: the operator's default
    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)] = 0.7
    max_answer_tokens: Annotated[int, msgspec.Meta(ge=16, le=8192)] = 800
    history_tokens: Annotated[int, msgspec.Meta(ge=0, le=200_000)] = 3000
    faq: Annotated[list[FaqEntry], msgspec.Meta(max_length=500)] = []
    no_answer_text: Annotated[str, msgspec.Meta(max_length=4000)] = ""  # empty: the language's own
    not_heard_text: Annotated[str, msgspec.Meta(max_length=4000)] = ""  # a voice note without words
    vocabulary: Annotated[list[str], msgspec.Meta(max_length=200)] = []  # names that speech should know
    quiet_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 4.0
    burst_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=120.0)] = 15.0
    typing_characters_per_second: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 25.0
    max_typing_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=30.0)] = 6.0
    answer_groups: bool = False


class Configure(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is left out (null) stays as it is; `settings` is replaced field by field."""

    personality: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None
    settings: dict[str, msgspec.Raw] | None = None  # checked against ClientSettings, by name


class Configured(msgspec.Struct, rename="camel"):
    """The answer; `changed` is False (and the version the old one) if nothing differs."""

    success: bool
    version: int
    changed: bool
