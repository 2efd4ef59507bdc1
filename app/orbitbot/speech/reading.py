"""Tokens to segments, and which of them are words that somebody said.

On music, noise and the ends of files Whisper invents text: thanks for watching, names of subtitlers, one
phrase over and over. What the model itself takes for no speech, what it is not sure of after every
temperature, what nobody could say in that time, and those phrases, unless it is very sure of them, count as
not heard.
"""

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from orbitbot.speech.attempts import MAX_COMPRESSION, MIN_LOG_PROBABILITY, Attempt
from orbitbot.speech.pieces import FRAME_SECONDS

STAMP_SECONDS: Final = 0.02  # between two time stamps
STAMP_FRAMES: Final = 2  # of the spectrogram in one
MAX_NO_SPEECH: Final = 0.8  # above it a segment is invented, however sure its words are
MAX_LETTERS_A_SECOND: Final = 45.0  # the fastest speakers say half of that
SURE: Final = -0.35  # mean log probability from which a suspicious phrase is believed

_SUSPICIOUS: Final = re.compile(
    r"amara\.org|legendas? (pela|por|de) |legendado por|subt[ií]tulos (por|realizados)|subtitles by"
    r"|(obrigad[oa]|gracias|thank you|thanks) (por|for) (assistir|ver|watching)"
    r"|inscrev[ae]-se|se inscreva|suscr[ií]bete|subscribe to|[♪♫]",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"\w+")
_LOOP: Final = 6  # times that a phrase may follow itself


class HeardSegment(msgspec.Struct, frozen=True):
    """A piece of speech as the model heard it; times in seconds."""

    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    log_probability: float
    no_speech: float
    compression: float
    temperature: float


class Read(msgspec.Struct, frozen=True):
    """What a window holds.

    Attributes:
        seek: frame at which the rest of the piece begins.
        invented: why words were left out; empty if none were.
    """

    segments: tuple[HeardSegment, ...]
    seek: int
    invented: str = ""


def read(
    attempt: Attempt, text_of: Callable[[Sequence[int]], str], first_stamp: int, seek: int, size: int
) -> Read:
    """The segments of the window of `size` frames that begins at frame `seek`; times are the piece's.

    Args:
        text_of: decodes tokens.
        first_stamp: id of the token of time 0.
    """
    if attempt.is_silence:
        return Read((), seek + size, "no speech heard")
    spans, advance = split(attempt.tokens, first_stamp, size)
    offset = seek * FRAME_SECONDS
    segments, invented = [], ""
    for start, end, tokens in spans:
        text = text_of(tokens)
        if start == end or not text.strip():
            continue
        segment = HeardSegment(
            start=offset + start,
            end=offset + end,
            text=text,
            tokens=tuple(tokens),
            log_probability=attempt.log_probability,
            no_speech=attempt.no_speech,
            compression=attempt.compression,
            temperature=attempt.temperature,
        )
        reason = why_invented(segment, size * FRAME_SECONDS)
        if reason:
            invented = reason
        else:
            segments.append(segment)
    return Read(tuple(segments), seek + advance, invented)


def split(
    tokens: Sequence[int], first_stamp: int, size: int
) -> tuple[list[tuple[float, float, Sequence[int]]], int]:
    """Spans (start, end, tokens) between pairs of time stamps, and by how many frames to go on.

    Whisper closes a segment with a stamp and opens the next with another. One stamp alone at the end says
    that nothing follows; a pair there says that the rest has to be listened to from that time on.
    """
    pairs = [
        place
        for place in range(1, len(tokens))
        if tokens[place] >= first_stamp and tokens[place - 1] >= first_stamp
    ]
    if not pairs:
        stamps = [token for token in tokens if token > first_stamp]
        end = (stamps[-1] - first_stamp) * STAMP_SECONDS if stamps else size * FRAME_SECONDS
        return [(0.0, end, tokens)], size
    ends_alone = len(tokens) >= 2 and tokens[-2] < first_stamp <= tokens[-1]  # noqa: PLR2004
    spans, last = [], 0
    for place in [*pairs, len(tokens)] if ends_alone else pairs:
        part = tokens[last:place]
        start, end = ((part[edge] - first_stamp) * STAMP_SECONDS for edge in (0, -1))
        spans.append((start, end, part))
        last = place
    advance = size if ends_alone else (tokens[last - 1] - first_stamp) * STAMP_FRAMES
    return spans, advance if advance > 0 else size  # a window that begins with its own end would never end


def why_invented(segment: HeardSegment, window_seconds: float) -> str:
    """Why these are no words that somebody said; empty if they are."""
    text = segment.text.strip()
    if segment.no_speech >= MAX_NO_SPEECH or segment.log_probability <= MIN_LOG_PROBABILITY:
        return "no speech heard"
    if segment.compression > MAX_COMPRESSION and repeats(text):
        return "only a repetition heard"
    if len(text) > MAX_LETTERS_A_SECOND * max(window_seconds, 1.0):
        return "more words than anybody could say in that time"
    if _SUSPICIOUS.search(text) and segment.log_probability < SURE:
        return "only a phrase heard that is often invented"
    return ""


def repeats(text: str) -> bool:
    """Whether a phrase of one to six words follows itself more than `_LOOP` times."""
    words = _WORD.findall(text.lower())
    for length in range(1, 7):
        for start in range(length):
            parts = [tuple(words[at : at + length]) for at in range(start, len(words) - length + 1, length)]
            run = 0
            for before, after in itertools.pairwise(parts):
                run = run + 1 if before == after else 0
                if run >= _LOOP:
                    return True
    return False


def confidence(segments: Sequence[HeardSegment]) -> float:
    """Geometric mean of the tokens' probabilities."""
    weighted = [(len(segment.tokens), segment.log_probability) for segment in segments]
    tokens = sum(count for count, _ in weighted)
    return math.exp(sum(count * each for count, each in weighted) / tokens) if tokens else 0.0
