"""What a model may change in a transcript: the spelling of a word, never what was said.

The model's text is compared with the transcript word by word. A word that is spelt otherwise but sounds alike
is taken over; a number, a name, a negation, and every word that was added, left out or exchanged stay as they
were heard. So a model that invents can do no more harm than none at all.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from rapidfuzz.distance import OSA

from orbitbot.ai.words import NEGATIONS, NUMBER_WORDS
from orbitbot.contracts.improve_transcription import Correction

LIKENESS: Final = 0.6  # of two words without accents, 0 to 1: below, one is not a spelling of the other
SHORT: Final = 3  # letters; so short a word may only get accents
_TOKEN: Final = re.compile(r"(\s*)([^\s]+)")
_EDGES: Final = re.compile(r"^([^\w]*)(.*?)([^\w]*)$", re.DOTALL)
_EXCHANGED: Final = frozenset(
    {"hundred", "thousand", "mil", "meia", "meio", "half", "metade", "dobro", "sem", "sim"}
)


def plain_word(word: str) -> str:
    """A word without case, accents and punctuation."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in decomposed if letter.isalnum())


def correct(raw: str, proposed: str, vocabulary: Iterable[str] = ()) -> tuple[str, list[Correction]]:
    """The transcript with those of the proposed changes that are only spelling, and what they are.

    Args:
        vocabulary: the business's own names: a word may become one of these if it sounds alike.
    """
    heard, wanted = _TOKEN.findall(raw), [word for _, word in _TOKEN.findall(proposed)]
    names = {plain_word(part) for name in vocabulary for part in name.split()}
    said = [plain_word(word) for _, word in heard]
    meant = [plain_word(word) for word in wanted]
    result: list[str] = []
    changes: list[Correction] = []
    for kind, start, end, other, until in difflib.SequenceMatcher(
        None, said, meant, autojunk=False
    ).get_opcodes():
        same_length = end - start == until - other
        for position in range(start, end):
            blank, word = heard[position]
            new = wanted[other + position - start] if same_length and kind in ("equal", "replace") else word
            first = position == 0 or heard[position - 1][1][-1] in ".!?"
            if new != word and not _is_spelling(word, new, names, first=first):
                new = word
            if _core(new) != _core(word) and _core(new).casefold() != _core(word).casefold():
                changes.append(Correction(_core(word), _core(new)))
            result.append(blank + new)
    trailing = raw[len(raw.rstrip()) :]
    return "".join(result) + trailing, changes


def _core(word: str) -> str:
    match = _EDGES.match(word)
    return match[2] if match else word


def _is_spelling(word: str, new: str, names: set[str], *, first: bool) -> bool:
    """Whether `new` is only another way to write `word`."""
    old_plain, new_plain = plain_word(word), plain_word(new)
    if not old_plain or not new_plain:
        return False
    if old_plain == new_plain:  # accents, capitals, punctuation; but a number keeps its points and signs
        return not any(letter.isdigit() for letter in word) or _core(word) == _core(new)
    if _is_kept(old_plain) or _is_kept(new_plain):
        return False
    is_name = _core(word)[:1].isupper() and not first
    if is_name and new_plain not in names:
        return False
    if max(len(old_plain), len(new_plain)) <= SHORT:
        return False
    return OSA.normalized_similarity(old_plain, new_plain) >= LIKENESS


def _is_kept(word: str) -> bool:
    """Whether a word may not be touched: numbers, in digits or words, and what turns a meaning round."""
    return (
        any(letter.isdigit() for letter in word)
        or word in NUMBER_WORDS
        or word in NEGATIONS
        or word in _EXCHANGED
        or word in _ENGLISH_NUMBERS
    )


_ENGLISH_NUMBERS: Final = frozenset(
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
     "um", "uma",
     "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "duzentos", "trezentos",
     "quinhentos", "sessenta", "setenta", "oitenta", "noventa", "primeiro", "segundo", "terceiro"]
)  # fmt: skip
