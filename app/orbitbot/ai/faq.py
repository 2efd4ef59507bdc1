"""Finds the FAQ entry that a message asks for, despite typos, missing accents and other words.

String similarity by itself is no use here: most questions of a shop differ in one word. To rapidfuzz's
`token_set_ratio` "qual é o preço do salmão" is 93 % like "Qual é o preço do sal?" and must get no answer,
while "arroz ta quanto?" is 50 % like "Qual é o preço do arroz?" and must get one; over the test's whole
table neither that scorer nor `WRatio` has a threshold that keeps the two kinds apart.

So words are compared by rapidfuzz's edit distance and weighed by how much they tell the entries of this
very FAQ apart (inverse document frequency; a word that no entry has weighs most), and the score of an
entry is a weighted harmonic mean of two fractions of weight, each from 0 to 1:

* how much of the message the entry (question and variants together) knows;
* how much of the entry's best fitting phrase the message says.

`tests/unit/ai/test_faq.py` holds the table of messages that `THRESHOLD` was chosen by.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rapidfuzz import process
from rapidfuzz.distance import OSA

from orbitbot.ai.words import LIGHT_WORDS, NEGATIONS, NUMBER, words
from orbitbot.contracts.configure import FaqEntry

THRESHOLD: Final = 0.56  # lowest score that counts as the same question
QUERY_WORDS: Final = 60  # only so many words of a message are looked at: a longer one is no FAQ question
PHRASE_SHARE: Final = 0.5  # how much the second of the two fractions counts, against 1 of the first
LIGHT: Final = 0.05  # weight of a word that says little (below), where rare words weigh 1 to 5
JOINED_LENGTH: Final = 12  # characters; up to here a message is also compared with its blanks removed


class Match(msgspec.Struct, frozen=True):
    """The entry found for a message."""

    answer: str
    question: str
    score: float  # 0 to 1


class _Phrase(msgspec.Struct, frozen=True):
    """One way to ask an entry's question."""

    entry: int
    words: tuple[str, ...]
    joined: str
    light: bool  # no word of it carries a topic


def allowed_edits(word: str) -> int:
    """How many typos a word of this length may have and still be the same word."""
    if len(word) <= 3:  # noqa: PLR2004  (one letter more or less makes "sal" "sala" or "pão" "não")
        return 0
    return 1 if len(word) <= 7 else 2  # noqa: PLR2004  ("galinha" is not "farinha")


class FaqIndex:
    """An FAQ, prepared for many look-ups."""

    def __init__(self, faq: Sequence[FaqEntry]) -> None:
        self._faq = faq
        self._phrases = [
            _Phrase(number, tuple(dict.fromkeys(found)), "".join(found), LIGHT_WORDS.issuperset(found))
            for number, entry in enumerate(faq)
            for text in (entry.question, *entry.also)
            if (found := words(text))
        ]
        self._vocabulary: list[set[str]] = [set() for _ in faq]
        for phrase in self._phrases:
            self._vocabulary[phrase.entry].update(phrase.words)
        frequency: dict[str, int] = {}
        for known in self._vocabulary:
            for word in known:
                frequency[word] = frequency.get(word, 0) + 1
        self._weights = {word: self._weight(word, count) for word, count in frequency.items()}
        self._words = list(self._weights)

    def _weight(self, word: str, frequency: float) -> float:
        if word in LIGHT_WORDS or word == NUMBER:
            return LIGHT
        weight = math.log(1 + len(self._faq) / frequency)
        return weight / 3 if word in NEGATIONS else weight  # "no" alone asks for nothing

    def best(self, text: str) -> Match | None:
        """The entry that `text` asks for, if any is close enough."""
        found = self.closest(text)
        return found if found is not None and found.score >= THRESHOLD else None

    def closest(self, text: str) -> Match | None:
        """The entry most like `text`, however unlike it is; None only if nothing can be compared."""
        asked = tuple(dict.fromkeys(words(text)))[:QUERY_WORDS]
        if not asked or not self._phrases:
            return None
        joined = "".join(asked)
        same = self._same_words(asked)
        said = _likeliest(same)
        coverage = [self._coverage_of_message(asked, same, known) for known in self._vocabulary]
        best: Match | None = None
        for phrase in self._phrases:
            covered = self._coverage_of_phrase(phrase, said)
            # A greeting is made of light words only: any part of it is one.
            score = _mean(coverage[phrase.entry], 1.0 if phrase.light and covered else covered)
            if len(joined) <= JOINED_LENGTH:
                score = max(score, _joined_score(joined, phrase.joined))
            if best is None or score > best.score:
                entry = self._faq[phrase.entry]
                best = Match(entry.answer, entry.question, score)
        return best

    def _same_words(self, asked: Iterable[str]) -> dict[str, dict[str, float]]:
        """For each word of the message the FAQ's words that it may be, each with a likeness of 0 to 1."""
        same: dict[str, dict[str, float]] = {}
        for word in asked:
            likely: dict[str, float] = {word: 1.0} if word in self._weights else {}
            edits = allowed_edits(word)
            if edits and word not in LIGHT_WORDS:
                for known, distance, _ in process.extract(
                    word, self._words, scorer=OSA.distance, score_cutoff=edits, limit=None
                ):
                    if 0 < distance <= allowed_edits(known) and known not in LIGHT_WORDS:
                        likely[known] = 1 - distance / max(len(word), len(known))
            same[word] = likely
        return same

    def _coverage_of_message(
        self, asked: Sequence[str], same: dict[str, dict[str, float]], known: set[str]
    ) -> float:
        covered = total = 0.0
        for word in asked:
            likely = same[word]
            likeliest = max(likely, key=likely.__getitem__, default="")
            weight = self._weights[likeliest] if likely else self._weight(word, 0.5)
            total += weight
            covered += weight * max((likely[each] for each in likely if each in known), default=0.0)
        return covered / total

    def _coverage_of_phrase(self, phrase: _Phrase, said: dict[str, float]) -> float:
        total = sum(self._weights[word] for word in phrase.words)
        return sum(self._weights[word] * said.get(word, 0.0) for word in phrase.words) / total


def _likeliest(same: dict[str, dict[str, float]]) -> dict[str, float]:
    """The FAQ's words that the message says, each with its best likeness."""
    said: dict[str, float] = {}
    for likely in same.values():
        for word, likeness in likely.items():
            said[word] = max(said.get(word, 0.0), likeness)
    return said


def _mean(message: float, phrase: float) -> float:
    """The weighted harmonic mean of the two fractions (van Rijsbergen's F)."""
    if not message or not phrase:
        return 0.0
    return (1 + PHRASE_SHARE) * message * phrase / (PHRASE_SHARE * message + phrase)


def _joined_score(message: str, phrase: str) -> float:
    """Likeness of two short texts without blanks, for "bomdia" and the like; 0 if it proves nothing."""
    if message == phrase:
        return 1.0
    edits = min(allowed_edits(message), allowed_edits(phrase))
    distance = OSA.distance(message, phrase, score_cutoff=edits)
    return 0.0 if distance > edits else 1 - distance / max(len(message), len(phrase))
