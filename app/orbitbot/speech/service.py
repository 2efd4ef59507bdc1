"""Transcribing: which notes are taken, how many at a time, and what is answered."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from orbitbot.contracts.transcribe import Transcription
from orbitbot.foundation.errors import InvalidInput, TooLarge, Unavailable
from orbitbot.foundation.names import check_client_id
from orbitbot.speech.decoder import SAMPLE_RATE
from orbitbot.speech.decoding import AudioDecoder, Samples
from orbitbot.speech.model import Heard, SpeechModel
from orbitbot.speech.registry import ModelRegistry

AUTO: Final = "auto"
MAX_PROMPT: Final = 4_000  # characters; Whisper looks at the last 220 or so tokens
_SMOOTHING: Final = 0.2  # weight of the newest note in the mean time per note
_FIRST_GUESS: Final = 1.0  # seconds per note, before any was measured
_LONGEST_RETRY: Final = 60.0  # seconds

log = logging.getLogger(__name__)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A voice note to transcribe; the fields are those of `contracts.transcribe`."""

    audio: bytes
    model: str = ""
    language: str
    prompt: str = ""
    client: str = ""


class SpeechService:
    """Transcribes voice notes, a bounded number at a time.

    Args:
        num_workers: notes in inference at the same time.
        queue_limit: notes held at a time, waiting or under way.
        max_bytes: largest file.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        decoder: AudioDecoder,
        *,
        num_workers: int,
        queue_limit: int,
        max_bytes: int,
    ) -> None:
        self._registry = registry
        self._decoder = decoder
        self._num_workers = num_workers
        self._queue_limit = queue_limit
        self._max_bytes = max_bytes
        self._executor = ThreadPoolExecutor(num_workers, thread_name_prefix="speech")
        self._decoded = asyncio.Semaphore(2 * num_workers)  # decoded notes are large: few in memory
        self._held = 0
        self._seconds_per_note = _FIRST_GUESS

    def close(self) -> None:
        """Finish what is under way, begin nothing more."""
        self._executor.shutdown(cancel_futures=True)

    async def check_queue(self) -> str:
        """Readiness: how many notes are held. A full queue is busy, not broken."""
        return f"{self._held} of {self._queue_limit} notes"

    async def transcribe(self, note: Note) -> Transcription:
        """The words heard in `note`.

        Raises:
            InvalidInput: model, language, client or prompt is not allowed, or the file is empty.
            TooLarge: too many bytes or seconds.
            UnsupportedMedia, Unprocessable: see `AudioDecoder.decode`.
            Unavailable: the queue is full or the model cannot be loaded.
        """
        self._check(note)
        model = await self._registry.get(note.model or self._registry.default)
        language = _language(note.language, model)
        if self._held >= self._queue_limit:
            raise Unavailable(
                f"{self._held} voice notes are waiting already", retry_after=self._expected_wait()
            )
        self._held += 1
        try:
            async with self._decoded:
                return await self._run(note, model, language)
        finally:
            self._held -= 1

    def _check(self, note: Note) -> None:
        if note.client:
            check_client_id(note.client)
        if len(note.prompt) > MAX_PROMPT:
            raise InvalidInput("prompt", f"longer than {MAX_PROMPT} characters")
        if not note.audio:
            raise InvalidInput("audio", "the file is empty")
        if len(note.audio) > self._max_bytes:
            raise TooLarge(f"audio: larger than {self._max_bytes} bytes")

    async def _run(self, note: Note, model: SpeechModel, language: str | None) -> Transcription:
        began = time.perf_counter()
        samples = await self._decoder.decode(note.audio)
        decoded = time.perf_counter()
        heard, inference = await asyncio.get_running_loop().run_in_executor(
            self._executor, _timed, model, samples, language, note.prompt
        )
        self._seconds_per_note += _SMOOTHING * (inference - self._seconds_per_note)
        answer = Transcription(
            transcription=heard.text,
            language=heard.language,
            confidence=round(heard.confidence, 4),
            duration=round(len(samples) / SAMPLE_RATE, 3),
            model=model.name,
            segments=list(heard.segments),
            reason=heard.reason,
            decode_ms=_milliseconds(decoded - began),
            inference_ms=_milliseconds(inference),
            test_model=model.test_model,
        )
        log.info(
            "voice note transcribed",
            extra={
                "action": "transcribe",
                "client_id": note.client or None,
                "duration": answer.duration,
                "language": answer.language,
                "reason": answer.reason,
                "decode_ms": answer.decode_ms,
                "inference_ms": answer.inference_ms,
                "total_ms": _milliseconds(time.perf_counter() - began),
            },
        )
        return answer

    def _expected_wait(self) -> float:
        """Seconds until about half of the queue is done."""
        return min(self._held / self._num_workers * self._seconds_per_note / 2, _LONGEST_RETRY)


def _language(wanted: str, model: SpeechModel) -> str | None:
    """The model's code for `wanted`, such as `pt` or `pt-BR`; None if it shall be detected."""
    if wanted.lower() == AUTO:
        return None
    code = wanted.lower().partition("-")[0]
    if code not in model.languages:
        allowed = ", ".join((AUTO, *model.languages))
        raise InvalidInput(
            "language", f"{wanted[:80]!r} is not known to model {model.name!r}; allowed: {allowed}"
        )
    return code


def _timed(model: SpeechModel, samples: Samples, language: str | None, prompt: str) -> tuple[Heard, float]:
    began = time.perf_counter()
    heard = model.transcribe(samples, language, prompt)
    return heard, time.perf_counter() - began


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
