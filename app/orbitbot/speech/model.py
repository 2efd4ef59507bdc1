"""One Whisper model in memory, and how it is loaded: from a local directory, never from a hub.

faster-whisper is imported where a model is loaded, not with this module: it takes half a second and
60 MiB, which Granian's main process needs not have.
"""

import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from orbitbot.contracts.transcribe import Segment
from orbitbot.foundation.errors import Unavailable
from orbitbot.speech.decoding import Samples
from orbitbot.speech.settings import ComputeType, Device

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

RETRY_AFTER: Final = 5.0  # seconds, told to callers while a model cannot be loaded
BEAM_SIZE: Final = 5
TEMPERATURES: Final = (0.0, 0.2, 0.4)  # each tried where the one before gave a poor result
SILENCE_PEAK: Final = 0.001  # of full scale (-60 dB): nothing louder is silence
NO_SPEECH_PROBABILITY: Final = 0.8  # a segment above it is invented text, however sure its words are
MIN_LOG_PROBABILITY: Final = -1.0  # a segment below it, after every temperature, is a guess

# What faster-whisper needs of a directory. Without tokenizer.json it would ask a hub for one.
REQUIRED_FILES: Final = ("model.bin", "config.json", "tokenizer.json")
DESCRIPTION_FILE: Final = "orbitbot-model.json"


class ModelDescription(msgspec.Struct, frozen=True):
    """`orbitbot-model.json`: what a model directory says about itself.

    Attributes:
        description: shown by `/readyz`.
        test_model: it is no real transcriber, and every answer says so.
        prompts: it was trained with prompts; without that they make it mishear, and are left out.
    """

    description: str = ""
    test_model: bool = False
    prompts: bool = True


class Heard(msgspec.Struct, frozen=True):
    """What a model made of some audio.

    Attributes:
        text: the words; empty if nothing was heard, and `reason` then says why.
        confidence: mean token probability, 0 to 1.
    """

    text: str
    language: str
    confidence: float = 0.0
    segments: tuple[Segment, ...] = ()
    reason: str = ""


class SpeechModel:
    """A loaded model. Safe to use from several threads; `num_workers` of them run at the same time."""

    def __init__(
        self,
        name: str,
        whisper: "WhisperModel",
        description: ModelDescription,
        device: str,
        compute_type: str,
    ) -> None:
        self.name = name
        self.test_model = description.test_model
        self._prompts = description.prompts
        self.languages: tuple[str, ...] = tuple(
            code
            for code in whisper.supported_languages
            if not whisper.model.is_multilingual
            or whisper.hf_tokenizer.token_to_id(f"<|{code}|>") is not None
        )
        self._whisper = whisper
        self._says = f"{description.description or name} ({name} on {device}, {compute_type})"

    def __str__(self) -> str:
        """Description, name, device and compute type."""
        return self._says

    def transcribe(self, samples: Samples, language: str | None, prompt: str) -> Heard:
        """Hear `samples` (mono, -1 to 1, 16 kHz). Blocks for as long as the model takes.

        Args:
            language: a code of `languages`; None detects it.
            prompt: text that names what the speaker may talk about; may be empty.
        """
        if not samples.size or float(np.abs(samples).max()) < SILENCE_PEAK:
            return Heard("", language or "", reason="silence")
        segments, info = self._whisper.transcribe(
            samples,
            language=language,
            beam_size=BEAM_SIZE,
            temperature=TEMPERATURES,
            condition_on_previous_text=False,
            initial_prompt=prompt if prompt and self._prompts else None,
            vad_filter=True,
        )
        heard = list(filter(_is_speech, segments))
        if not heard:
            return Heard("", language or "", reason="no speech heard")
        return Heard(
            text=" ".join(segment.text.strip() for segment in heard),
            language=info.language,
            confidence=_confidence(heard),
            segments=tuple(Segment(s.start, s.end, s.text.strip()) for s in heard),
        )


def _is_speech(segment: Any) -> bool:
    return bool(
        segment.text.strip()
        and segment.no_speech_prob < NO_SPEECH_PROBABILITY
        and segment.avg_logprob > MIN_LOG_PROBABILITY
    )


def _confidence(segments: Iterable[Any]) -> float:
    """Geometric mean of the tokens' probabilities."""
    weighted = [(len(segment.tokens), segment.avg_logprob) for segment in segments]
    tokens = sum(count for count, _ in weighted)
    return math.exp(sum(count * each for count, each in weighted) / tokens) if tokens else 0.0


def load_model(
    name: str,
    directory: Path,
    *,
    device: Device,
    compute_type: ComputeType,
    cpu_threads: int,
    num_workers: int,
) -> SpeechModel:
    """Load the model in `directory` under `name`, see `SpeechSettings`.

    Raises:
        Unavailable: the directory or a file in it is missing or unusable; the detail names it.
    """
    from ctranslate2 import get_cuda_device_count  # noqa: PLC0415  (see the module's docstring)
    from faster_whisper import WhisperModel  # noqa: PLC0415

    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it tells of every note, twice
    try:
        _check_directory(directory)
        description = _read_description(directory / DESCRIPTION_FILE)
        if device == "auto":
            device = "cuda" if get_cuda_device_count() else "cpu"
        if compute_type == "auto":
            compute_type = "float16" if device == "cuda" else "int8"
        whisper = WhisperModel(
            str(directory),
            device=device,
            compute_type=compute_type,
            cpu_threads=cpu_threads or max(1, len(os.sched_getaffinity(0)) // num_workers),
            num_workers=num_workers,
            local_files_only=True,
        )
    except Exception as error:  # CTranslate2, tokenizers and JSON each raise kinds of their own
        raise Unavailable(f"model {name!r}: {error}", retry_after=RETRY_AFTER) from error
    return SpeechModel(name, whisper, description, device, compute_type)


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory}: no such directory")
    for file in REQUIRED_FILES:
        if not (directory / file).is_file():
            raise FileNotFoundError(f"{directory / file}: no such file")


def _read_description(file: Path) -> ModelDescription:
    if not file.is_file():
        return ModelDescription()
    try:
        return msgspec.json.decode(file.read_bytes(), type=ModelDescription)
    except msgspec.DecodeError as error:
        raise ValueError(f"{file}: {error}") from error
