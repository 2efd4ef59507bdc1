"""Samples to what the model is given: where somebody speaks, in pieces of at most 30 s, as mel spectrograms.

The voice activity detector and the spectrogram are faster-whisper's own. Up to 30 s of speech are one piece,
cut the way `WhisperModel.transcribe(vad_filter=True)` does it, so that the words are the same; more is cut
where nobody speaks, and the pieces are heard side by side.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from orbitbot.speech.decoder import SAMPLE_RATE
from orbitbot.speech.decoding import Samples

if TYPE_CHECKING:
    from faster_whisper.feature_extractor import FeatureExtractor

WINDOW_SECONDS: Final = 30.0  # what Whisper looks at at once
WINDOW_FRAMES: Final = 3000
FRAME_SECONDS: Final = 0.01
SILENCE_PEAK: Final = 0.001  # of full scale (-60 dB): nothing louder is silence
_PAUSE_MS: Final = 160  # at which a long file may be cut

Features = NDArray[np.float32]
Chunk = dict[str, int]  # `start` and `end` of speech, in samples


class Piece(msgspec.Struct, frozen=True):
    """At most 30 s of speech.

    Attributes:
        features: mel spectrogram, (mel bins, frames).
        chunks: the stretches of the file that were put together to this piece.
    """

    features: Features
    chunks: tuple[Chunk, ...]

    @property
    def frames(self) -> int:
        """Frames of sound; the spectrogram has one more."""
        return int(self.features.shape[-1]) - 1

    @property
    def seconds(self) -> float:
        """Length of the speech."""
        return self.frames * FRAME_SECONDS


class Extractor:
    """Cuts notes into pieces. Safe to use from several threads."""

    def __init__(self, spectrogram: "FeatureExtractor") -> None:
        self._spectrogram = spectrogram

    def pieces(self, samples: Samples) -> list[Piece]:
        """The pieces of a note in order; none where nobody speaks."""
        from faster_whisper.vad import (  # noqa: PLC0415  (half a second: see `model`)
            VadOptions,
            get_speech_timestamps,
        )

        if is_silent(samples):
            return []
        chunks = get_speech_timestamps(samples, VadOptions())
        if sum(chunk["end"] - chunk["start"] for chunk in chunks) > WINDOW_SECONDS * SAMPLE_RATE:
            chunks = get_speech_timestamps(
                samples, VadOptions(max_speech_duration_s=WINDOW_SECONDS, min_silence_duration_ms=_PAUSE_MS)
            )
        return [self._piece(samples, group) for group in grouped(chunks) if group]

    def _piece(self, samples: Samples, chunks: Sequence[Chunk]) -> Piece:
        speech = np.concatenate([samples[chunk["start"] : chunk["end"]] for chunk in chunks])
        features = self._spectrogram(speech).astype(np.float32, copy=False)
        return Piece(features, tuple(chunks))


def is_silent(samples: Samples) -> bool:
    """Whether there is nothing at all to be heard."""
    return not samples.size or max(float(samples.max()), -float(samples.min())) < SILENCE_PEAK


def grouped(chunks: Sequence[Chunk]) -> list[list[Chunk]]:
    """`chunks` in groups of at most 30 s of speech each, in order."""
    groups: list[list[Chunk]] = [[]]
    length, longest = 0, WINDOW_SECONDS * SAMPLE_RATE
    for chunk in chunks:
        own = chunk["end"] - chunk["start"]
        if groups[-1] and length + own > longest:
            groups.append([])
            length = 0
        groups[-1].append(chunk)
        length += own
    return groups


def window(piece: Piece, begin: int) -> Features:
    """The 30 s of `piece` from frame `begin` on, filled up with nothing: (mel bins, 3000)."""
    part = piece.features[:, begin : min(begin + WINDOW_FRAMES, piece.frames)]
    return np.pad(part, ((0, 0), (0, WINDOW_FRAMES - part.shape[1])))


class Clock:
    """From the time in a piece to the time in the file."""

    def __init__(self, piece: Piece) -> None:
        from faster_whisper.vad import SpeechTimestampsMap  # noqa: PLC0415  (half a second: see `model`)

        self._map: Any = SpeechTimestampsMap(list(piece.chunks), SAMPLE_RATE)

    def start(self, seconds: float) -> float:
        """When a segment begins."""
        return float(self._map.get_original_time(seconds))

    def end(self, seconds: float) -> float:
        """When a segment ends."""
        return float(self._map.get_original_time(seconds, is_end=True))
