"""Puts windows of different notes together into batches, and has them computed by a few threads.

A worker takes what is ready: windows to encode, or encoded ones to decode. Windows are decoded together when
they belong to one model and temperature and their prompts are of one length; languages and clients may
differ. Nothing waits for a batch to fill longer than `COALESCE`, unless all workers are busy anyway.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from orbitbot.foundation.errors import Unavailable, Unprocessable
from orbitbot.speech.attempts import Attempt, Attempts
from orbitbot.speech.fairness import FairQueue, Priority
from orbitbot.speech.hardware import Hardware
from orbitbot.speech.pieces import Features

COALESCE: Final = 0.005  # seconds for which a batch with room left may wait for company
LONGEST_HELD: Final = 2.0  # seconds after which an encoded window is decoded, in however small a batch
RETRY_AFTER: Final = 5.0  # seconds

log = logging.getLogger(__name__)


class BatchModel(Protocol):
    """What the scheduler needs of a model; see `model.SpeechModel`."""

    def encode(self, windows: Sequence[Features]) -> list[Any]:
        """Encode windows together."""

    def languages_of(self, windows: Sequence[Any]) -> list[str]:
        """The language of each encoded window."""

    def beginning(self, language: str, vocabulary: Sequence[int]) -> list[int]:
        """What the decoder begins with."""

    def decode(
        self, windows: Sequence[Any], beginnings: Sequence[list[int]], temperature: float
    ) -> list[Attempt]:
        """Decode encoded windows together."""


class HeardWindow(NamedTuple):
    """What became of a window, and the seconds that it took from the queue and from the model."""

    attempt: Attempt
    language: str
    queued: float
    computed: float


class Window:
    """One window on its way.

    Args:
        language: None to detect it.
        seconds: of sound in it: what its client's share is charged.
        temperature: of the first attempt.
    """

    def __init__(
        self,
        model: BatchModel,
        features: Features,
        *,
        language: str | None,
        vocabulary: Sequence[int] = (),
        client: str = "",
        priority: Priority = "interactive",
        seconds: float = 30.0,
        temperature: float = 0.0,
    ) -> None:
        self.model = model
        self.features: Features | None = features
        self.language = language
        self.vocabulary = vocabulary
        self.client = client
        self.priority = priority
        self.seconds = seconds
        self.attempts = Attempts(temperature)
        self.encoded: Any = None
        self.arrived = self.ready = time.monotonic()
        self.begun = 0.0
        self.computed = 0.0
        self.future: asyncio.Future[HeardWindow] = asyncio.get_running_loop().create_future()

    @property
    def abandoned(self) -> bool:
        """Nobody waits for it any more."""
        return self.future.done()

    @property
    def company(self) -> tuple[int, int, float]:
        """Windows of which this is the same can be decoded together."""
        return id(self.model), len(self.vocabulary), self.attempts.temperature


class _Batch(NamedTuple):
    windows: list[Window]
    run: Callable[[list[Window]], None]


class Scheduler:
    """The queue of a node, and the threads that work on it.

    Args:
        hardware: says how many threads work and how large their batches are.
        observe: told of every batch: `encode` or `decode`, windows in it, seconds.
    """

    def __init__(
        self,
        hardware: Hardware,
        observe: Callable[[str, int, float], None],
    ) -> None:
        self._observe = observe
        self._hardware = hardware
        self._changed = threading.Condition()
        self._waiting: FairQueue[Window] = FairQueue()
        self._encoded: list[Window] = []
        self._encoding = 0
        self._quiet_until = 0.0  # until then company for what waits may come
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"speech-{number}", daemon=True)
            for number in range(hardware.workers)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Finish the batches that are under way, fail what waits, end the threads. Blocks."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        while (window := self._waiting.pop()) is not None:
            self._encoded.append(window)
        self._fail(self._encoded, Unavailable("the speech node is stopping", retry_after=RETRY_AFTER))

    def waiting(self) -> int:
        """Windows that nobody works on yet."""
        with self._changed:
            return len(self._waiting) + len(self._encoded)

    async def hear(self, window: Window) -> HeardWindow:
        """What a window holds. Giving up the wait takes it out of the queue.

        Raises:
            Unprocessable: the model fails on this window, also alone.
            Unavailable: the node is stopping, or the model fails on everything.
        """
        with self._changed:
            if self._closed:
                raise Unavailable("the speech node is stopping", retry_after=RETRY_AFTER)
            if not self._waiting:
                self._quiet_until = time.monotonic() + COALESCE
            self._waiting.push(
                window, client=window.client, cost=max(window.seconds, 1.0), priority=window.priority
            )
            self._changed.notify()
        return await window.future

    # ------------------------------------------------------------------------------- the worker threads

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            began = time.monotonic()
            for window in batch.windows:
                window.begun = window.begun or began
            try:
                batch.run(batch.windows)
            except Exception as error:  # noqa: BLE001  (CTranslate2 raises kinds of its own)
                self._alone(batch, error)
            finally:
                if batch.run == self._encode:
                    with self._changed:
                        self._encoding -= len(batch.windows)
                        self._changed.notify_all()

    def _next(self) -> _Batch | None:
        """Wait for something to do; None when the scheduler is closed."""
        with self._changed:
            while not self._closed:
                batch, patience = self._choose(time.monotonic())
                if batch is not None:
                    return batch
                self._changed.wait(patience)
            return None

    def _choose(self, now: float) -> tuple[_Batch | None, float | None]:
        """A batch, or for how many seconds to wait for one (None: until something changes)."""
        self._encoded = [window for window in self._encoded if not window.abandoned]
        decode = self._ripe(now)
        if decode:
            return _Batch(decode, self._decode), None
        limit = self._hardware.encode_batch
        if 0 < len(self._waiting) < limit and not self._encoding and now < self._quiet_until:
            return None, self._quiet_until - now
        first = self._pop()
        if first is None:
            return None, LONGEST_HELD if self._encoded else None
        windows = [first]
        while len(windows) < limit and (company := self._pop(first.model)) is not None:
            windows.append(company)
        self._encoding += len(windows)
        return _Batch(windows, self._encode), None

    def _pop(self, model: BatchModel | None = None) -> Window | None:
        while True:
            window = self._waiting.pop(lambda each: model is None or each.model is model)
            if window is None or not window.abandoned:
                return window

    def _ripe(self, now: float) -> list[Window]:
        """Encoded windows to decode now; none while company for them is about to come."""
        groups: dict[tuple[int, int, float], list[Window]] = {}
        for window in self._encoded:
            groups.setdefault(window.company, []).append(window)
        for group in sorted(groups.values(), key=lambda each: each[0].ready):
            size = 0
            if len(group) >= self._hardware.decode_batch:
                size = self._hardware.decode_batch
            elif not len(self._waiting) or now - group[0].ready > LONGEST_HELD:
                size = len(group)
                if self._hardware.device == "cpu":  # leave the other workers their part
                    size = min(size, math.ceil((len(group) + self._encoding) / self._hardware.workers))
            if size:
                taken = set(map(id, group[:size]))
                self._encoded = [window for window in self._encoded if id(window) not in taken]
                return group[:size]
        return []

    def _encode(self, windows: list[Window]) -> None:
        model = windows[0].model
        began = time.monotonic()
        encoded = model.encode([window.features for window in windows if window.features is not None])
        unknown = [
            (window, each) for window, each in zip(windows, encoded, strict=True) if not window.language
        ]
        if unknown:
            for (window, _), found in zip(
                unknown, model.languages_of([each for _, each in unknown]), strict=True
            ):
                window.language = found
        now = time.monotonic()
        self._observe("encode", len(windows), now - began)
        for window, each in zip(windows, encoded, strict=True):
            window.encoded, window.features = each, None
            window.ready = now
            window.computed += (now - began) / len(windows)
        with self._changed:
            self._encoded += windows
            self._changed.notify_all()

    def _decode(self, windows: list[Window]) -> None:
        model, temperature = windows[0].model, windows[0].attempts.temperature
        began = time.monotonic()
        beginnings = [model.beginning(window.language or "", window.vocabulary) for window in windows]
        attempts = model.decode([window.encoded for window in windows], beginnings, temperature)
        now = time.monotonic()
        self._observe("decode", len(windows), now - began)
        again = []
        for window, attempt in zip(windows, attempts, strict=True):
            window.computed += (now - began) / len(windows)
            best = window.attempts.take(attempt)
            if best is None:
                window.ready = now
                again.append(window)
            else:
                queued = window.begun - window.arrived
                self._settle(window, HeardWindow(best, window.language or "", queued, window.computed))
        if again:
            with self._changed:
                self._encoded += again
                self._changed.notify_all()

    def _alone(self, batch: _Batch, error: Exception) -> None:
        """A batch failed: try each of its windows by itself, so that only the guilty one fails."""
        stage = "encode" if batch.run == self._encode else "decode"
        log.error("a batch failed", exc_info=error, extra={"action": stage, "windows": len(batch.windows)})
        if len(batch.windows) == 1:
            self._fail(batch.windows, Unprocessable("audio: the model fails on this file"))
            return
        failed: list[Window] = []
        for window in batch.windows:
            try:
                batch.run([window])
            except Exception:  # as above
                log.exception("a window failed alone, too", extra={"action": stage})
                failed.append(window)
        if len(failed) == len(batch.windows):
            self._fail(failed, Unavailable("the model fails", retry_after=RETRY_AFTER))
        else:
            self._fail(failed, Unprocessable("audio: the model fails on this file"))

    def _fail(self, windows: Sequence[Window], error: Exception) -> None:
        for window in windows:
            self._settle(window, error)

    @staticmethod
    def _settle(window: Window, result: HeardWindow | Exception) -> None:
        window.encoded = window.features = None

        def settle() -> None:
            if window.future.done():
                return
            if isinstance(result, Exception):
                window.future.set_exception(result)
            else:
                window.future.set_result(result)

        window.future.get_loop().call_soon_threadsafe(settle)
