"""Transcribing: which notes are taken, and what is answered."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from orbitbot.contracts.transcribe import Segment, Transcription
from orbitbot.foundation.errors import InvalidInput, OrbitBotError, TooLarge, Unavailable
from orbitbot.foundation.names import check_client_id
from orbitbot.speech.admission import Admission
from orbitbot.speech.budget import Budget
from orbitbot.speech.decoder import SAMPLE_RATE
from orbitbot.speech.decoding import AudioDecoder
from orbitbot.speech.fairness import PRIORITIES
from orbitbot.speech.hearing import Heard, Request, hear
from orbitbot.speech.metrics import SpeechMetrics
from orbitbot.speech.model import SpeechModel
from orbitbot.speech.reading import HeardSegment, confidence
from orbitbot.speech.registry import ModelRegistry
from orbitbot.speech.scheduler import Scheduler

AUTO: Final = "auto"
MAX_PROMPT: Final = 4_000  # characters; Whisper looks at the last 220 or so tokens
MAX_TEMPERATURE: Final = 1.0

log = logging.getLogger(__name__)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A voice note to transcribe; the fields are those of `contracts.transcribe`."""

    audio: bytes
    model: str = ""
    language: str
    prompt: str = ""
    client: str = ""
    priority: str = "interactive"
    temperature: float = 0.0


class Answer(msgspec.Struct, frozen=True):
    """The contract's answer, and beside it what the model says of each segment."""

    transcription: Transcription
    segments: tuple[HeardSegment, ...]


class SpeechService:
    """Transcribes voice notes, a bounded number at a time.

    Args:
        extractors: threads that find speech and compute spectrograms.
        max_bytes: largest file.
        answer_seconds: after which a note is given up.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        decoder: AudioDecoder,
        scheduler: Scheduler,
        admission: Admission,
        budget: Budget,
        *,
        metrics: SpeechMetrics,
        extractors: int,
        max_bytes: int,
        answer_seconds: float,
    ) -> None:
        self._registry = registry
        self._decoder = decoder
        self._scheduler = scheduler
        self.admission = admission
        self._budget = budget
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._answer_seconds = answer_seconds
        self._extractors = ThreadPoolExecutor(extractors, thread_name_prefix="extractor")

    def close(self) -> None:
        """Finish what is under way, begin nothing more."""
        self._scheduler.close()
        self._extractors.shutdown(cancel_futures=True)

    @property
    def default_model(self) -> str:
        """The model of those who name none."""
        return self._registry.default

    async def check_queue(self) -> str:
        """Readiness: how many notes are held. A full queue is busy, not broken."""
        return f"{self.admission.held} of {self.admission.limit} notes"

    async def transcribe(self, note: Note) -> Answer:
        """The words heard in `note`.

        Raises:
            InvalidInput: a field has a value that is not allowed, or the file is empty.
            TooLarge: too many bytes or seconds.
            UnsupportedMedia, Unprocessable: see `AudioDecoder.decode`.
            TooManyRequests: too many notes of this client are held.
            Unavailable: the queue is full, the model cannot be loaded, or the answer took too long.
        """
        began = time.perf_counter()
        self._check(note)
        try:
            with self.admission.place(note.client):
                async with asyncio.timeout(self._answer_seconds):
                    answer = await self._run(note)
        except TimeoutError as error:
            self._metrics.failed("timeout")
            raise Unavailable(
                f"not done within {self._answer_seconds:g} s", retry_after=self.admission.expected_wait()
            ) from error
        except OrbitBotError as error:
            self._metrics.failed(error.problem)
            raise
        self._metrics.answered(answer.transcription, time.perf_counter() - began)
        return answer

    def _check(self, note: Note) -> None:
        if note.client:
            check_client_id(note.client)
        if note.priority not in PRIORITIES:
            raise InvalidInput("priority", f"{note.priority[:80]!r}; allowed: {', '.join(PRIORITIES)}")
        if not 0 <= note.temperature <= MAX_TEMPERATURE:
            raise InvalidInput("temperature", f"{note.temperature:g}; allowed: 0 to {MAX_TEMPERATURE:g}")
        if len(note.prompt) > MAX_PROMPT:
            raise InvalidInput("prompt", f"longer than {MAX_PROMPT} characters")
        if not note.audio:
            raise InvalidInput("audio", "the file is empty")
        if len(note.audio) > self._max_bytes:
            raise TooLarge(f"audio: larger than {self._max_bytes} bytes")

    async def _run(self, note: Note) -> Answer:
        began = time.perf_counter()
        async with self._registry.use(note.model or self._registry.default) as model:
            request = Request(
                language=_language(note.language, model),
                prompt=note.prompt,
                client=note.client,
                priority=next(each for each in PRIORITIES if each == note.priority),
                temperature=note.temperature,
            )
            decoding = time.perf_counter()
            samples = await self._decoder.decode(note.audio)
            decoded = time.perf_counter()
            seconds = len(samples) / SAMPLE_RATE
            async with self._budget.holding(seconds):
                heard = await hear(self._scheduler, self._extractors, model, samples, request)
            if heard.windows:
                self.admission.finished(heard.model_seconds)
            answer = _answer(model, heard, seconds)
            answer.decode_ms = _milliseconds(decoded - decoding)
            answer.total_ms = _milliseconds(time.perf_counter() - began)
            self._log(note, answer, heard)
            return Answer(answer, heard.segments)

    def _log(self, note: Note, answer: Transcription, heard: Heard) -> None:
        log.info(
            "voice note transcribed",
            extra={
                "action": "transcribe",
                "client_id": note.client or None,
                "model": answer.model,
                "duration": answer.duration,
                "language": answer.language,
                "reason": answer.reason,
                "windows": heard.windows,
                "decode_ms": answer.decode_ms,
                "features_ms": answer.features_ms,
                "queue_ms": answer.queue_ms,
                "inference_ms": answer.inference_ms,
                "total_ms": answer.total_ms,
            },
        )


def _answer(model: SpeechModel, heard: Heard, seconds: float) -> Transcription:
    return Transcription(
        transcription=heard.text,
        language=heard.language,
        confidence=round(confidence(heard.segments), 4),
        duration=round(seconds, 3),
        model=model.name,
        segments=[Segment(each.start, each.end, each.text.strip()) for each in heard.segments],
        reason=heard.reason,
        features_ms=_milliseconds(heard.features_seconds),
        queue_ms=_milliseconds(heard.queued_seconds),
        inference_ms=_milliseconds(heard.model_seconds),
        test_model=model.test_model,
    )


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


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
