"""What a node measures of itself. No label holds a client or anything a caller sent."""

import threading
from typing import Final

from orbitbot.contracts.transcribe import Transcription
from orbitbot.foundation.metrics import Described, Metrics

_NAMES: Final[Described] = {
    "orbitbot_speech_notes_total": ("counter", "Notes by what became of them."),
    "orbitbot_speech_audio_seconds_total": ("counter", "Seconds of audio answered."),
    "orbitbot_speech_note_seconds": ("histogram", "From a note's arrival to its answer."),
    "orbitbot_speech_queue_seconds": ("histogram", "A note in the queue for the model."),
    "orbitbot_speech_batches_total": ("counter", "Batches by stage and by the windows in them."),
    "orbitbot_speech_busy_seconds_total": ("counter", "Spent computing, all workers together."),
    "orbitbot_speech_held_notes": ("gauge", "Notes held, waiting or under way."),
    "orbitbot_speech_queue_limit_notes": ("gauge", "Notes held at most."),
    "orbitbot_speech_waiting_windows": ("gauge", "Windows that nobody computes yet."),
    "orbitbot_speech_loaded_models": ("gauge", "Models in memory."),
}


class SpeechMetrics:
    """Everything that is counted. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metrics = Metrics(_NAMES)

    def answered(self, answer: Transcription, seconds: float) -> None:
        """A note was answered, `seconds` after it came."""
        with self._lock:
            result = "nothing-heard" if answer.reason else "heard"
            self._metrics.count("orbitbot_speech_notes_total", result=result)
            self._metrics.count("orbitbot_speech_audio_seconds_total", answer.duration)
            self._metrics.observe("orbitbot_speech_note_seconds", seconds)
            self._metrics.observe("orbitbot_speech_queue_seconds", answer.queue_ms / 1000)

    def failed(self, problem: str) -> None:
        """A note was refused or failed."""
        with self._lock:
            self._metrics.count("orbitbot_speech_notes_total", result=problem)

    def batch(self, stage: str, windows: int, seconds: float) -> None:
        """A batch was computed."""
        with self._lock:
            self._metrics.count("orbitbot_speech_batches_total", stage=stage, windows=str(windows))
            self._metrics.count("orbitbot_speech_busy_seconds_total", seconds, stage=stage)

    def text(self, *, held: int, limit: int, waiting: int, models: int) -> str:
        """All of it in Prometheus' text format, with how things stand now."""
        with self._lock:
            self._metrics.set("orbitbot_speech_held_notes", held)
            self._metrics.set("orbitbot_speech_queue_limit_notes", limit)
            self._metrics.set("orbitbot_speech_waiting_windows", waiting)
            self._metrics.set("orbitbot_speech_loaded_models", models)
            return self._metrics.text()
