"""`POST /api/clients/{clientId}/configure`: personality and settings, each change a new version."""

from typing import Annotated, Any, Literal

import msgspec

from orbitbot.contracts.bot import ANSWERED_KINDS, PAUSE_WORDS, RESUME_WORDS

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
MessageKind = Literal["image", "video", "document", "location", "contact", "sticker", "reaction", "poll"]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
TimeOrNone = Annotated[str, msgspec.Meta(pattern=r"^$|^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
Line = Annotated[str, msgspec.Meta(max_length=500)]
ModelName = Annotated[str, msgspec.Meta(max_length=200)]
Dollars = Annotated[float, msgspec.Meta(ge=0.0, le=100_000.0)]

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)]


class FaqEntry(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One question that the business answers itself, with other ways to ask it."""

    question: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    answer: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    also: list[Annotated[str, msgspec.Meta(min_length=1, max_length=500)]] = []


class Opening(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """When the business is open on some days, by its own clock; `24:00` is the end of the day."""

    days: Annotated[list[Weekday], msgspec.Meta(min_length=1, max_length=7)]
    opens: TimeOfDay
    closes: TimeOfDay


class Price(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What something costs, as it is to be said: `Corte masculino`, `R$ 45,00`."""

    item: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    price: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Business(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a personality's placeholders stand for; see `orbitbot.ai.personality`."""

    name: Line = ""  # empty: the client's name
    address: Line = ""
    phone: Line = ""
    website: Line = ""
    payment: Line = ""
    delivery: Line = ""
    hours: Annotated[list[Opening], msgspec.Meta(max_length=20)] = []
    prices: Annotated[list[Price], msgspec.Meta(max_length=200)] = []
    notes: Annotated[str, msgspec.Meta(max_length=4000)] = ""


class ClientSettings(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Everything about a client that may be set. What is left out keeps its default.

    The page docs/api/settings.md says what each is for; a test compares the two.
    """

    model: ModelName = ""  # empty: the operator's default
    fallback_models: Annotated[list[ModelName], msgspec.Meta(max_length=4)] = []  # … asked in this order
    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)] = 0.7
    max_answer_tokens: Annotated[int, msgspec.Meta(ge=16, le=8192)] = 800
    history_tokens: Annotated[int, msgspec.Meta(ge=0, le=200_000)] = 3000
    context_tokens: Annotated[int, msgspec.Meta(ge=0, le=2_000_000)] = 0  # 0: as large as the model's
    summarise: bool = True  # what no longer fits into `history_tokens` is kept as a summary
    budget_day_usd: Dollars | None = None  # null: the operator's default
    budget_month_usd: Dollars | None = None
    cache_answers: bool = True
    cache_seconds: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 900
    improve_transcriptions: bool = True
    confident_speech: Fraction = 0.85  # a transcript with at least this confidence is left as it is
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 0  # texts older than this go; 0: they stay
    business: Business = msgspec.field(default_factory=Business)
    plugins: Annotated[dict[str, dict[str, Any]], msgspec.Meta(max_length=50)] = {}  # by plugin name
    faq: Annotated[list[FaqEntry], msgspec.Meta(max_length=500)] = []
    no_answer_text: Annotated[str, msgspec.Meta(max_length=4000)] = ""  # empty: the language's own
    get_back_text: Annotated[str, msgspec.Meta(max_length=4000)] = ""  # when no model can be reached
    budget_text: Annotated[str, msgspec.Meta(max_length=4000)] = ""  # when the budget is used up
    not_heard_text: Annotated[str, msgspec.Meta(max_length=4000)] = ""  # a voice note without words
    vocabulary: Annotated[list[str], msgspec.Meta(max_length=200)] = []  # names that speech should know
    quiet_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 4.0
    burst_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=120.0)] = 15.0
    typing_characters_per_second: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 25.0
    max_typing_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=30.0)] = 6.0
    answer_groups: bool = False
    answer_kinds: tuple[MessageKind, ...] = ANSWERED_KINDS
    takeover_minutes: Annotated[float, msgspec.Meta(ge=0.0, le=43_200.0)] = 60.0
    pause_words: Annotated[tuple[Word, ...], msgspec.Meta(max_length=10)] = PAUSE_WORDS
    resume_words: Annotated[tuple[Word, ...], msgspec.Meta(max_length=10)] = RESUME_WORDS
    night_from: TimeOrNone = ""
    night_until: TimeOrNone = ""
    loop_turns: Annotated[int, msgspec.Meta(ge=3, le=1000)] = 20
    new_chats_per_day: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 50
    warm_up_days: Annotated[int, msgspec.Meta(ge=0, le=90)] = 14
    send_pause_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=600.0)] = 2.0


class Configure(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is left out (null) stays as it is; `settings` is replaced field by field."""

    personality: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None
    settings: dict[str, msgspec.Raw] | None = None  # checked against ClientSettings, by name


class Configured(msgspec.Struct, rename="camel"):
    """The answer; `changed` is False (and the version the old one) if nothing differs."""

    success: bool
    version: int
    changed: bool
