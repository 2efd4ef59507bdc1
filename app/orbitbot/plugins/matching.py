"""Whether a message says one of some phrases, whatever its case, accents and punctuation."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")


def plain(text: str) -> str:
    """Lower case, no accents, no punctuation, one blank between words."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(_WORD.findall("".join(each for each in decomposed if not unicodedata.combining(each))))


def says(message: str, phrases: Iterable[str], *, whole: bool = False) -> bool:
    """Whether the message holds one of the phrases as whole words, or (if `whole`) is one of them."""
    said = plain(message)
    if whole:
        return any(said == plain(phrase) for phrase in phrases)
    return any(f" {wanted} " in f" {said} " for phrase in phrases if (wanted := plain(phrase)))
