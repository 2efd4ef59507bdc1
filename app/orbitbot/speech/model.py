"""One Whisper model in memory: batches of windows through CTranslate2's encoder and decoder.

faster-whisper loads it, from a local directory and never from a hub, and lends its spectrogram and tokenizer;
the encoder and the decoder are called directly, on windows of different notes, languages and prompts.

faster-whisper is imported where a model is loaded, not with this module: it takes half a second and
60 MiB, which Granian's main process needs not have.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from orbitbot.foundation.errors import Unavailable
from orbitbot.speech.attempts import Attempt
from orbitbot.speech.hardware import Hardware
from orbitbot.speech.pieces import Extractor, Features
from orbitbot.speech.prompts import filled

if TYPE_CHECKING:
    from ctranslate2 import StorageView
    from faster_whisper import WhisperModel
    from faster_whisper.tokenizer import Tokenizer

RETRY_AFTER: Final = 5.0  # seconds, told to callers while a model cannot be loaded
BEAM_SIZE: Final = 5
BEST_OF: Final = 5  # samples of an attempt at a higher temperature
MAX_LENGTH: Final = 448  # tokens of prompt and text together
FIRST_STAMP_WITHIN: Final = 50  # stamps of 0.02 s: speech begins in the window's first second

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


class Encoded(msgspec.Struct, frozen=True):
    """What the encoder made of a window: row `row` of a batch, which stays where it was computed."""

    batch: Any
    row: int


class SpeechModel:
    """A loaded model. Safe to use from several threads; `Hardware.workers` of them compute at once."""

    def __init__(
        self, name: str, whisper: "WhisperModel", description: ModelDescription, hardware: Hardware
    ) -> None:
        from faster_whisper.transcribe import get_suppressed_tokens  # noqa: PLC0415

        self.name = name
        self.test_model = description.test_model
        self.extractor = Extractor(whisper.feature_extractor)
        self._prompts = description.prompts
        self.languages: tuple[str, ...] = tuple(
            code
            for code in whisper.supported_languages
            if not whisper.model.is_multilingual
            or whisper.hf_tokenizer.token_to_id(f"<|{code}|>") is not None
        )
        self._whisper = whisper
        self._tokenizer = lru_cache(maxsize=None)(self._new_tokenizer)  # there are a hundred languages
        any_language = self._tokenizer(self.languages[0])
        self.first_stamp: int = any_language.timestamp_begin
        self._suppressed = list(get_suppressed_tokens(any_language, [-1]) or ())
        self._says = f"{description.description or name} ({name} on {hardware})"

    def __str__(self) -> str:
        """Description, name, device and compute type."""
        return self._says

    def unload(self) -> None:
        """Give its memory back. It must not be used any more."""
        self._whisper.model.unload_model()

    def _new_tokenizer(self, language: str) -> "Tokenizer":
        from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415

        multilingual = self._whisper.model.is_multilingual
        return Tokenizer(self._whisper.hf_tokenizer, multilingual, task="transcribe", language=language)

    def vocabulary(self, prompt: str) -> list[int]:
        """The tokens of a prompt that names what the speaker may talk of, in a length that batches share."""
        if not prompt or not self._prompts:
            return []
        return filled(self._whisper.hf_tokenizer.encode(" " + prompt.strip(), add_special_tokens=False).ids)

    def beginning(self, language: str, vocabulary: Sequence[int]) -> list[int]:
        """The tokens that the decoder begins with."""
        tokenizer = self._tokenizer(language)
        before = [tokenizer.sot_prev, *vocabulary] if vocabulary else []
        return [*before, *tokenizer.sot_sequence]

    def text(self, tokens: Sequence[int]) -> str:
        """The words of tokens; time stamps and other special tokens are left out."""
        return str(self._tokenizer(self.languages[0]).decode(list(tokens)))

    def encode(self, windows: Sequence[Features]) -> list[Encoded]:
        """Encode windows of (mel bins, 3000) each, together. Blocks for as long as it takes."""
        from ctranslate2 import StorageView  # noqa: PLC0415

        batch = self._whisper.model.encode(StorageView.from_array(np.stack(windows)))
        return [Encoded(batch, row) for row in range(len(windows))]

    def languages_of(self, windows: Sequence[Encoded]) -> list[str]:
        """The language that each window is most probably in."""
        if not self._whisper.model.is_multilingual:
            return [self.languages[0]] * len(windows)
        found = self._whisper.model.detect_language(_together(windows))
        return [probabilities[0][0].removeprefix("<|").removesuffix("|>") for probabilities in found]

    def decode(
        self, windows: Sequence[Encoded], beginnings: Sequence[list[int]], temperature: float
    ) -> list[Attempt]:
        """Decode windows together; their beginnings must be of one length. Blocks for as long as it takes."""
        how: dict[str, Any] = {"beam_size": BEAM_SIZE}
        if temperature > 0:
            how = {
                "beam_size": 1,
                "num_hypotheses": BEST_OF,
                "sampling_topk": 0,
                "sampling_temperature": temperature,
            }
        results = self._whisper.model.generate(
            _together(windows),
            list(beginnings),
            max_length=MAX_LENGTH,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            max_initial_timestamp_index=FIRST_STAMP_WITHIN,
            **how,
        )
        return [self._attempt(result, temperature) for result in results]

    def _attempt(self, result: Any, temperature: float) -> Attempt:
        tokens = tuple(result.sequences_ids[0])
        return Attempt(
            tokens=tokens,
            text=self.text(tokens).strip(),
            # CTranslate2 divides the sum by the length; the end of the text is a token, too
            log_probability=result.scores[0] * len(tokens) / (len(tokens) + 1),
            no_speech=result.no_speech_prob,
            temperature=temperature,
        )


def _together(windows: Sequence[Encoded]) -> "StorageView":
    """One batch of these rows: the one they came from, if it is all of that in order, else a new one."""
    from ctranslate2 import Device, StorageView  # noqa: PLC0415

    whole = windows[0].batch
    if [(each.batch is whole, each.row) for each in windows] == [
        (True, row) for row in range(whole.shape[0])
    ]:
        return whole
    rows = []
    arrays: dict[int, Any] = {}
    for each in windows:
        key = id(each.batch)
        if key not in arrays:  # from a GPU: the fallback of a few windows is rare, and their copy is small
            arrays[key] = np.asarray(
                each.batch.to_device(Device.cpu) if each.batch.device != "cpu" else each.batch
            )
        rows.append(arrays[key][each.row])
    return StorageView.from_array(np.stack(rows))


def load_model(name: str, directory: Path, hardware: Hardware) -> SpeechModel:
    """Load the model in `directory` under `name`.

    Raises:
        Unavailable: the directory or a file in it is missing or unusable; the detail names it.
    """
    from faster_whisper import WhisperModel  # noqa: PLC0415

    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it tells of every note, twice
    try:
        check_directory(directory)
        description = _read_description(directory / DESCRIPTION_FILE)
        whisper = WhisperModel(
            str(directory),
            device=hardware.device,
            compute_type=hardware.compute_type,
            cpu_threads=hardware.cpu_threads,
            num_workers=hardware.workers,
            local_files_only=True,
        )
        return SpeechModel(name, whisper, description, hardware)
    except Exception as error:  # CTranslate2, tokenizers and JSON each raise kinds of their own
        raise Unavailable(f"model {name!r}: {error}", retry_after=RETRY_AFTER) from error


def check_directory(directory: Path) -> None:
    """Raise what is missing of a model's directory."""
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
