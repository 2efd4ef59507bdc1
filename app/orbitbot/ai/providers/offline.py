"""The offline provider: answers from the client's own FAQ, and says honestly when it cannot."""

from collections.abc import Iterator
from typing import ClassVar, Final

import msgspec

from orbitbot.ai.faq import FaqIndex
from orbitbot.ai.models import Answer, Profile, Question, Source
from orbitbot.ai.notices import notice
from orbitbot.ai.words import statements, words

INDEXES_KEPT: Final = 500  # clients, per process
LINES_READ: Final = 30  # of one message: a burst has a handful, and each costs some milliseconds
PARTS_READ: Final = 10  # sentences of one line


class _Found(msgspec.Struct, frozen=True):
    answers: list[str]
    missed: bool  # something was asked that the FAQ does not know


class OfflineProvider:
    """Needs no network and costs nothing. It never raises `ProviderError`."""

    name: ClassVar[str] = "offline"

    def __init__(self) -> None:
        self._indexes: dict[str, tuple[str, FaqIndex]] = {}

    async def answer(self, question: Question) -> Answer:
        """The FAQ's answers to everything that the message asks, in its order, each once."""
        profile = question.profile
        found = _look_up(self._index(profile), question.message)
        texts = list(found.answers)
        if found.missed or not texts:
            texts.append(profile.settings.no_answer_text or notice("no_answer", profile.language))
        source: Source = "no_answer" if found.missed or not found.answers else "faq"
        return Answer("\n\n".join(texts), model=self.name, source=source)

    def _index(self, profile: Profile) -> FaqIndex:
        known = self._indexes.get(profile.client_id)
        if known is not None and known[0] == profile.revision:
            return known[1]
        if len(self._indexes) >= INDEXES_KEPT:
            self._indexes.clear()
        index = FaqIndex(profile.settings.faq)
        self._indexes[profile.client_id] = (profile.revision, index)
        return index


def _look_up(index: FaqIndex, message: str) -> _Found:
    answers: list[str] = []
    missed = False
    for line in message.splitlines()[:LINES_READ]:
        for answer in _look_up_line(index, line):
            if answer is None:
                missed = True
            elif answer not in answers:
                answers.append(answer)
    return _Found(answers, missed)


def _look_up_line(index: FaqIndex, line: str) -> Iterator[str | None]:
    """The answers to a line; None for a question that has none.

    A line is taken apart into sentences only if that answers all of them: "Three bags of rice. For
    tomorrow." is one wish, "Are you open? Do you deliver?" are two.
    """
    parts = [part for part in statements(line) if words(part)][:PARTS_READ]
    matches = [index.best(part) for part in parts]
    if matches and all(match is not None for match in matches):
        yield from (match.answer for match in matches if match is not None)
        return
    whole = index.best(line)
    if whole is not None:
        yield whole.answer
        return
    yield from (None if match is None else match.answer for match in matches)
