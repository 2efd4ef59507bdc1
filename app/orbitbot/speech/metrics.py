"""What a node measures of itself, in Prometheus' text format. No label holds what a caller sent."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from orbitbot.contracts.transcribe import Transcription

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 0.7, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 180.0)
WINDOWS: Final = (1, 2, 4, 8, 16, 32, 64, 128)


class Histogram:
    """Counts values below each of some bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        place = next((place for place, bound in enumerate(self._bounds) if value <= bound), len(self._bounds))
        self._counts[place] += 1
        self._sum += value

    def lines(self, name: str, labels: str = "") -> list[str]:
        """Its samples."""
        lines: list[str] = []
        total = 0
        before = labels + "," if labels else ""
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{before}le="{bound}"}} {total}')
        inside = f"{{{labels}}}" if labels else ""
        return [*lines, f"{name}_sum{inside} {self._sum}", f"{name}_count{inside} {total}"]


class SpeechMetrics:
    """Everything that is counted. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes: Counter[str] = Counter()
        self._audio_seconds = 0.0
        self._total = Histogram(SECONDS)
        self._queued = Histogram(SECONDS)
        self._batches = {stage: Histogram(WINDOWS) for stage in ("encode", "decode")}
        self._busy = dict.fromkeys(self._batches, 0.0)

    def answered(self, answer: Transcription, seconds: float) -> None:
        """A note was answered, `seconds` after it came."""
        with self._lock:
            self._notes["nothing-heard" if answer.reason else "heard"] += 1
            self._audio_seconds += answer.duration
            self._total.add(seconds)
            self._queued.add(answer.queue_ms / 1000)

    def failed(self, problem: str) -> None:
        """A note was refused or failed."""
        with self._lock:
            self._notes[problem] += 1

    def batch(self, stage: str, windows: int, seconds: float) -> None:
        """A batch was computed."""
        with self._lock:
            self._batches[stage].add(windows)
            self._busy[stage] += seconds

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """All of it.

        Args:
            gauges: name → (what it is, its value now).
        """
        with self._lock:
            lines = _head("orbitbot_speech_notes_total", "counter", "Notes by what became of them.")
            lines += [
                f'orbitbot_speech_notes_total{{result="{result}"}} {count}'
                for result, count in sorted(self._notes.items())
            ]
            lines += _head("orbitbot_speech_audio_seconds_total", "counter", "Seconds of audio answered.")
            lines.append(f"orbitbot_speech_audio_seconds_total {self._audio_seconds}")
            lines += _head(
                "orbitbot_speech_note_seconds", "histogram", "From a note's arrival to its answer."
            )
            lines += self._total.lines("orbitbot_speech_note_seconds")
            lines += _head("orbitbot_speech_queue_seconds", "histogram", "In the queue for the model.")
            lines += self._queued.lines("orbitbot_speech_queue_seconds")
            lines += _head("orbitbot_speech_batch_windows", "histogram", "Windows computed together.")
            for stage, histogram in self._batches.items():
                lines += histogram.lines("orbitbot_speech_batch_windows", f'stage="{stage}"')
            lines += _head("orbitbot_speech_busy_seconds_total", "counter", "Spent computing, all workers.")
            lines += [
                f'orbitbot_speech_busy_seconds_total{{stage="{stage}"}} {self._busy[stage]}'
                for stage in self._batches
            ]
        for name, (meaning, value) in gauges.items():
            lines += _head(name, "gauge", meaning)
            lines.append(f"{name} {value}")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
