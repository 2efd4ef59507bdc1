"""Splits an answer into the messages that a person would send."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from orbitbot.contracts.bot import BotSettings

PART_LIMIT: Final = 700  # characters of one message, where the text allows it
WHOLE_LIMIT: Final = 3_000  # characters up to which a list, a piece of code or a link stays in one message

Span = tuple[int, int]  # from, to

_FENCE: Final = re.compile(
    r"[ \t]*~~~(?!.*~~~)"
)  # of the other kind, ```, WhatsApp has it anywhere in a line
_LIST_ITEM: Final = re.compile(r"[ \t]*(?:[-*•–]|\d{1,3}[.)]|[a-zA-Z]\))[ \t]+\S")  # noqa: RUF001  (dashes)
_CONTINUED_ITEM: Final = re.compile(r"[ \t]{2,}\S")
_SENTENCE_END: Final = re.compile(r"[.!?…]+[\"'”’»)\]*_]*(?=\s)|\n")  # noqa: RUF001  (quotation marks)
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|sr|sra|srta|dr|dra|prof|profa|av|al|tel|cel|ex|obs|pág|nº|n|mr|mrs|ms|st|vs)\.$",
    re.IGNORECASE,
)
_WORD: Final = re.compile(
    r"(?:```[^\n]{1,3000}?```"  # code within a line
    r"|`[^`\n]{1,500}`"
    r"|\[[^\]\n]{0,500}\]\([^)\s]*\)"  # a link by name
    r"|\S)+"
)
_JOINER: Final = "\u200d"
_FLAG_LETTERS: Final = range(0x1F1E6, 0x1F200)
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_TAGS: Final = range(0xE0020, 0xE0080)  # the letters of the flags of England, Scotland and Wales


def split_answer(text: str, limit: int = PART_LIMIT) -> list[str]:
    """The parts of an answer, in order: nothing is lost but blanks at the cuts.

    Cuts fall between paragraphs and sentences. Lists, code and links stay whole unless they are longer than
    `WHOLE_LIMIT`. A part exceeds `limit` only for one of those. A cut never parts what is seen as one
    character (an emoji of several, a letter and its accent).
    """
    parts: list[Span] = []
    for start, end in _units(text, limit):
        if parts and end - parts[-1][0] <= limit:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    return [text[start:end] for start, end in parts]


def typing_seconds(text: str, settings: BotSettings) -> float:
    """How long a person would type `text`, within the client's bounds."""
    if settings.typing_characters_per_second <= 0:
        return 0.0
    return min(len(text) / settings.typing_characters_per_second, settings.max_typing_seconds)


def _units(text: str, limit: int) -> Iterator[Span]:
    """What is not cut any further, in order."""
    for start, end, whole in _blocks(text):
        if whole and end - start <= WHOLE_LIMIT:
            yield start, end
            continue
        pieces = _lines(text, start, end) if whole else _sentences(text, start, end)
        for piece in pieces:
            yield from _short_enough(text, piece, limit)


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Paragraphs, lists and fenced code as (from, to, whether it wants to stay whole)."""
    kind, start, end, fence = "", 0, 0, ""
    for line_start, line_end in _lines(text, 0, len(text), blank=True):
        line = text[line_start:line_end]
        if fence:
            end = line_end
            if _fence(line, fence):
                yield start, end, True
                kind, fence = "", ""
            continue
        found = _kind(line, kind)
        if fence := _fence(line, "```") or _fence(line, "~~~"):
            found = "code"
        if found != kind:
            if kind:
                yield start, end, kind != "paragraph"
            kind, start = found, line_start
        end = line_end
    if kind:
        yield (*_trimmed(text, start, end), kind != "paragraph")


def _fence(line: str, kind: str) -> str:
    """The fence, if the line opens or closes code of this kind; else nothing."""
    turns = line.count(kind) % 2 if kind == "```" else _FENCE.match(line)
    return kind if turns else ""


def _kind(line: str, before: str) -> str:
    if not line.strip():
        return ""
    if _LIST_ITEM.match(line) or (before == "list" and _CONTINUED_ITEM.match(line)):
        return "list"
    return "paragraph"


def _lines(text: str, start: int, end: int, *, blank: bool = False) -> Iterator[Span]:
    while start < end:
        newline = text.find("\n", start, end)
        stop = end if newline < 0 else newline
        if blank or text[start:stop].strip():
            yield start, stop
        start = stop + 1


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    links = [match.span() for match in _WORD.finditer(text, start, end)]
    begin = start
    for match in _SENTENCE_END.finditer(text, start, end):
        cut = match.end()
        inside_link = any(first < cut < last for first, last in links)
        if inside_link or _ABBREVIATION.search(text[begin:cut]) or not text[begin:cut].strip():
            continue
        if match[0] != "\n" and text[cut:end].lstrip()[:1].islower():
            continue
        yield _trimmed(text, begin, cut)
        begin = cut
    if text[begin:end].strip():
        yield _trimmed(text, begin, end)


def _short_enough(text: str, span: Span, limit: int) -> Iterator[Span]:
    """One sentence or line; one that is too long is cut between words."""
    start, end = span
    if end - start <= limit:
        yield span
        return
    for word_start, word_end in [match.span() for match in _WORD.finditer(text, start, end)]:
        if word_end - start > limit and word_start > start:
            yield _trimmed(text, start, word_start)
            start = word_start
        while word_end - start > WHOLE_LIMIT:
            cut = _between_characters(text, start, start + WHOLE_LIMIT)
            yield start, cut
            start = cut
    if text[start:end].strip():
        yield _trimmed(text, start, end)


def _between_characters(text: str, start: int, cut: int) -> int:
    """The last place in `start` to `cut` where one character ends and the next begins; `cut` if none does."""
    for place in range(cut, start, -1):
        if not _belongs_to_the_one_before(text, start, place):
            return place
    return cut


def _belongs_to_the_one_before(text: str, start: int, place: int) -> bool:
    """Whether `text[place]` is seen as one with what stands before it."""
    letter = text[place]
    code = ord(letter)
    if code in _FLAG_LETTERS:
        letters_before = 0
        while place - letters_before > start and ord(text[place - letters_before - 1]) in _FLAG_LETTERS:
            letters_before += 1
        return letters_before % 2 == 1
    extends = unicodedata.category(letter) in {"Mn", "Mc", "Me"} or code in _SKIN_TONES or code in _TAGS
    return extends or _JOINER in {letter, text[place - 1]}


def _trimmed(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
