"""A note through the model: cut into pieces, heard window by window, put together again."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final

import msgspec

from orbitbot.speech.decoding import Samples
from orbitbot.speech.fairness import Priority
from orbitbot.speech.model import SpeechModel
from orbitbot.speech.pieces import FRAME_SECONDS, WINDOW_FRAMES, Clock, Piece, is_silent, window
from orbitbot.speech.reading import HeardSegment, read
from orbitbot.speech.scheduler import HeardWindow, Scheduler, Window

MAX_WINDOWS: Final = 8  # of one piece: it is at most 30 s long and needs one, seldom two
SILENCE: Final = "silence"
NO_SPEECH: Final = "no speech heard"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """How a note is to be heard.

    Attributes:
        language: a code of the model; None detects it.
        prompt: names what the speaker may talk about; may be empty.
        client: whose note it is, for fairness.
    """

    language: str | None
    prompt: str = ""
    client: str = ""
    priority: Priority = "interactive"
    temperature: float = 0.0


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a model made of a note.

    Attributes:
        segments: the words in order; empty if nothing was heard, and `reason` then says why.
        language: named, detected, or empty where nothing was heard that it could be detected from.
        features_seconds, queued_seconds, model_seconds: spent on voice detection and spectrogram, in the
            queue
            (of the window that waited longest), and by the model (this note's part of its batches).
    """

    segments: tuple[HeardSegment, ...] = ()
    language: str
    reason: str = ""
    windows: int = 0
    features_seconds: float = 0.0
    queued_seconds: float = 0.0
    model_seconds: float = 0.0

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(segment.text.strip() for segment in self.segments)


async def hear(
    scheduler: Scheduler, executor: Executor, model: SpeechModel, samples: Samples, request: Request
) -> Heard:
    """Hear `samples` (mono, -1 to 1, 16 kHz).

    Args:
        executor: threads for voice detection and spectrograms.

    Raises:
        Unprocessable, Unavailable: see `Scheduler.hear`.
    """
    loop = asyncio.get_running_loop()
    if is_silent(samples):
        return Heard(language=request.language or "", reason=SILENCE)
    began = loop.time()
    pieces = await loop.run_in_executor(executor, model.extractor.pieces, samples)
    took = loop.time() - began
    if not pieces:
        return Heard(language=request.language or "", reason=NO_SPEECH, features_seconds=took)
    notes = [_HeardPiece(scheduler, model, piece, request) for piece in pieces]
    if request.language is None:  # the first 30 s decide for all
        await notes[0].hear(None)
    language = request.language or notes[0].language
    try:
        async with asyncio.TaskGroup() as group:
            for note in notes:
                if not note.windows:
                    group.create_task(note.hear(language))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors  # one piece that fails is enough; callers know its type
    windows = [each for note in notes for each in note.windows]
    segments = tuple(segment for note in notes for segment in note.segments)
    reasons = [note.invented for note in notes if note.invented]
    return Heard(
        segments=segments,
        language=language if segments or request.language else "",
        reason="" if segments else (reasons or [NO_SPEECH])[0],
        windows=len(windows),
        features_seconds=took,
        queued_seconds=max(each.queued for each in windows),
        model_seconds=sum(each.computed for each in windows),
    )


class _HeardPiece:
    """One piece, window after window; the second begins where the first one heard the last word end."""

    def __init__(self, scheduler: Scheduler, model: SpeechModel, piece: Piece, request: Request) -> None:
        self._scheduler = scheduler
        self._model = model
        self._piece = piece
        self._request = request
        self._clock = Clock(piece)
        self.windows: list[HeardWindow] = []
        self.segments: list[HeardSegment] = []
        self.language = ""
        self.invented = ""

    async def hear(self, language: str | None) -> None:
        seek = 0
        vocabulary: Sequence[int] = self._model.vocabulary(self._request.prompt)
        while seek < self._piece.frames and len(self.windows) < MAX_WINDOWS:
            size = min(WINDOW_FRAMES, self._piece.frames - seek)
            heard = await self._scheduler.hear(
                Window(
                    self._model,
                    window(self._piece, seek),
                    language=language,
                    vocabulary=vocabulary,
                    client=self._request.client,
                    priority=self._request.priority,
                    seconds=size * FRAME_SECONDS,
                    temperature=self._request.temperature,
                )
            )
            self.windows.append(heard)
            language = self.language = heard.language
            vocabulary = ()
            found = read(heard.attempt, self._model.text, self._model.first_stamp, seek, size)
            self.segments += map(self._in_file, found.segments)
            self.invented = found.invented or self.invented
            seek = found.seek

    def _in_file(self, segment: HeardSegment) -> HeardSegment:
        return msgspec.structs.replace(
            segment, start=self._clock.start(segment.start), end=self._clock.end(segment.end)
        )
