"""Trying a personality before it goes live, and the client's own provider key.

    POST   /api/clients/{clientId}/test-chat                    one message, one or two drafts side by side
    GET    /api/clients/{clientId}/question-sets                saved questions with expected points
    PUT    /api/clients/{clientId}/question-sets/{name}
    DELETE /api/clients/{clientId}/question-sets/{name}
    POST   /api/clients/{clientId}/question-sets/{name}/run     put them to a draft, or to what is in force
    GET    /api/clients/{clientId}/question-runs                results, the latest first
    GET    /api/clients/{clientId}/question-runs/{run}
    PUT    /api/clients/{clientId}/provider-key                 the client pays its calls itself
    DELETE /api/clients/{clientId}/provider-key

Nothing here touches a contact's history. The AI service has each as `POST /api/trying/…`, with `clientId`.
"""

from typing import Annotated, Any, Literal

import msgspec

from orbitbot.contracts.chat import AnswerSource

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
SetName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,49}$")]


class Draft(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What differs from the configuration in force; null stays as it is."""

    personality: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None
    settings: dict[str, msgspec.Raw] | None = None


class Said(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One earlier turn of the conversation that is tried."""

    question: Text
    answer: Text


class TestChat(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A message, what was said before, and the drafts that are to answer."""

    __test__ = False  # pytest: this is no test

    message: Text
    history: Annotated[list[Said], msgspec.Meta(max_length=50)] = []
    drafts: Annotated[list[Draft], msgspec.Meta(min_length=1, max_length=2)] = msgspec.field(
        default_factory=lambda: [Draft()]
    )


class TriedAnswer(msgspec.Struct, rename="camel"):
    """What a draft answered, and what it took."""

    response: str
    source: AnswerSource
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    provider_ms: float
    silenced: str = ""


class TestChatAnswer(msgspec.Struct, rename="camel"):
    """The drafts' answers, in their order."""

    __test__ = False

    answers: list[TriedAnswer]


class Point(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Something that is expected of an answer.

    Attributes:
        kind: `says` and `lacks` look for `text` (or one of several, parted by `|`) whatever its case, accents
            and punctuation; `judged` has a language model decide whether the answer does what `text` says.
    """

    kind: Literal["says", "lacks", "judged"]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class TestQuestion(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A question and what its answer must have."""

    __test__ = False

    question: Text
    points: Annotated[list[Point], msgspec.Meta(max_length=10)] = []


class QuestionSet(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Questions that every draft has to answer well."""

    questions: Annotated[list[TestQuestion], msgspec.Meta(min_length=1, max_length=50)]


class QuestionSets(msgspec.Struct, rename="camel"):
    """All sets of a client, by name."""

    sets: dict[str, QuestionSet]


class PointResult(msgspec.Struct, rename="camel"):
    """Whether an answer has a point."""

    kind: str
    text: str
    met: bool


class QuestionResult(msgspec.Struct, rename="camel"):
    """A question's answer, point by point."""

    question: str
    response: str
    source: str
    passed: bool
    points: list[PointResult]


class QuestionRun(msgspec.Struct, rename="camel"):
    """One run of a set.

    Attributes:
        version: of the configuration that was asked; for a draft, of the version that it became once saved.
        state: `stopped` when the process that ran it ended.
    """

    id: str
    set_name: str
    version: int | None
    state: Literal["running", "done", "stopped"]
    questions: int
    passed: int
    cost_usd: float
    author: str
    started_at: str
    results: list[QuestionResult] = []


class QuestionRuns(msgspec.Struct, rename="camel"):
    """Runs without their results, the latest first."""

    runs: list[QuestionRun]


class ProviderKey(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The key; it is never shown again."""

    key: Annotated[str, msgspec.Meta(min_length=8, max_length=1000, pattern=r"^[!-~]+$")]


class ProviderKeyView(msgspec.Struct, rename="camel"):
    """Whether the client has a key of its own, and its last characters."""

    own_key: bool
    hint: str = ""


class ForClient(msgspec.Struct, rename="camel"):
    """Between gateway and AI service: whom it is about, who asks, and the body."""

    client_id: str
    author: str = ""
    name: str = ""
    body: Any = None
