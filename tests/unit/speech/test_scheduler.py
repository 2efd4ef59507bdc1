"""Batches over different notes, with a model that only remembers what it was given."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
import pytest

from orbitbot.foundation.errors import Unavailable, Unprocessable
from orbitbot.speech.attempts import Attempt
from orbitbot.speech.hardware import Hardware
from orbitbot.speech.pieces import Features
from orbitbot.speech.scheduler import HeardWindow, Scheduler, Window

DEADLINE: Final = 20.0  # seconds
POISON: Final = 666
UNSURE: Final = 5


class Model:
    """Says the number that a window holds; is held at its first batch until `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.encoded: list[list[int]] = []
        self.decoded: list[tuple[list[int], float]] = []
        self.beginnings: list[list[list[int]]] = []

    def encode(self, windows: Sequence[Features]) -> list[Any]:
        numbers = [int(window[0, 0]) for window in windows]
        self.encoded.append(numbers)
        self.begun.set()
        if not self.go.wait(DEADLINE):
            raise TimeoutError
        if POISON in numbers:
            raise RuntimeError("a window that the encoder does not survive")
        return numbers

    def languages_of(self, windows: Sequence[Any]) -> list[str]:
        return ["es"] * len(windows)

    def beginning(self, language: str, vocabulary: Sequence[int]) -> list[int]:
        return [*vocabulary, {"pt": 1, "es": 2}[language]]

    def decode(
        self, windows: Sequence[Any], beginnings: Sequence[list[int]], temperature: float
    ) -> list[Attempt]:
        assert len({len(beginning) for beginning in beginnings}) == 1, "one length in a batch"
        self.decoded.append((list(windows), temperature))
        self.beginnings.append(list(beginnings))
        return [
            Attempt(
                (number,),
                str(number),
                -2.0 if number == UNSURE and not temperature else -0.1,
                0.0,
                temperature,
            )
            for number in windows
        ]


@asynccontextmanager
async def scheduler(*, workers: int = 1, encode: int = 4, decode: int = 8) -> AsyncIterator[Scheduler]:
    made = Scheduler(Hardware("cpu", "int8", workers, 1, encode, decode), lambda *_: None)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.close)


def window(model: Model, number: int, **more: Any) -> Window:
    return Window(model, np.full((80, 3000), number, np.float32), **{"language": "pt", **more})


async def heard(waiting: Sequence[asyncio.Future[HeardWindow]]) -> list[Any]:
    async with asyncio.timeout(DEADLINE):
        return await asyncio.gather(*waiting, return_exceptions=True)


async def held_up(made: Scheduler, model: Model) -> asyncio.Future[HeardWindow]:
    """Occupy the only worker, so that whatever comes now waits together."""
    first = asyncio.ensure_future(made.hear(window(model, 0)))
    assert await asyncio.to_thread(model.begun.wait, DEADLINE)
    return first


def begin(made: Scheduler, *windows: Window) -> list[asyncio.Future[HeardWindow]]:
    return [asyncio.ensure_future(made.hear(each)) for each in windows]


async def test_what_waits_is_computed_together() -> None:
    model = Model()
    async with scheduler() as made:
        first = await held_up(made, model)
        waiting = begin(made, *(window(model, number, client=f"c{number}") for number in range(1, 7)))
        await asyncio.sleep(0)
        model.go.set()
        results = await heard([first, *waiting])

    assert [result.attempt.text for result in results] == [str(number) for number in range(7)]
    assert model.encoded == [[0], [1, 2, 3, 4], [5, 6]]
    assert max(len(windows) for windows, _ in model.decoded) > 1


async def test_languages_share_a_batch_and_lengths_of_prompts_do_not() -> None:
    model = Model()
    async with scheduler() as made:
        first = await held_up(made, model)
        waiting = begin(
            made,
            window(model, 1, language=None),
            window(model, 2, vocabulary=[9, 9]),
            window(model, 3),
            window(model, 4, vocabulary=[8, 8]),
        )
        await asyncio.sleep(0)
        model.go.set()
        results = await heard([first, *waiting])

    assert [result.language for result in results] == ["pt", "es", "pt", "pt", "pt"]
    together = {tuple(sorted(windows)) for windows, _ in model.decoded}
    assert (2, 4) in together
    assert any({1, 3} <= set(windows) for windows, _ in model.decoded)


async def test_only_the_window_that_needs_it_is_tried_again() -> None:
    model = Model()
    async with scheduler() as made:
        first = await held_up(made, model)
        waiting = begin(made, *(window(model, number) for number in (4, UNSURE, 6)))
        await asyncio.sleep(0)
        model.go.set()
        results = await heard([first, *waiting])

    assert [windows for windows, temperature in model.decoded if temperature] == [[UNSURE]]
    assert [result.attempt.temperature for result in results] == [0.0, 0.0, 0.2, 0.0]


async def test_a_window_that_breaks_a_batch_fails_alone() -> None:
    model = Model()
    async with scheduler() as made:
        first = await held_up(made, model)
        waiting = begin(made, *(window(model, number) for number in (1, POISON, 3)))
        await asyncio.sleep(0)
        model.go.set()
        results = await heard([first, *waiting])

    assert [getattr(each, "attempt", None) and each.attempt.text for each in results] == ["0", "1", None, "3"]
    assert isinstance(results[2], Unprocessable)


async def test_a_model_that_fails_on_everything_is_nobodys_files_fault() -> None:
    model = Model()
    model.go.set()
    async with scheduler() as made:
        model.go.clear()
        first = await held_up(made, model)
        waiting = begin(made, window(model, POISON), window(model, POISON))
        await asyncio.sleep(0)
        model.go.set()
        results = await heard([first, *waiting])

    assert isinstance(results[1], Unavailable)
    assert isinstance(results[2], Unavailable)


async def test_who_gives_up_is_not_computed() -> None:
    model = Model()
    async with scheduler() as made:
        first = await held_up(made, model)
        gone, patient = begin(made, window(model, 1), window(model, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        model.go.set()
        await heard([first, patient])

    assert [1] not in model.encoded
    assert all(1 not in windows for windows in model.encoded)


async def test_a_flood_does_not_keep_another_client_waiting() -> None:
    model = Model()
    async with scheduler(encode=1) as made:
        first = await held_up(made, model)
        flood = begin(made, *(window(model, number, client="loud") for number in range(10, 30)))
        await asyncio.sleep(0)
        quiet = begin(made, window(model, 1, client="quiet"))
        await asyncio.sleep(0)
        model.go.set()
        await heard([first, *flood, *quiet])

    assert [numbers[0] for numbers in model.encoded].index(1) <= 2


async def test_workers_share_what_is_to_be_decoded() -> None:
    model = Model()
    async with scheduler(workers=2, encode=1, decode=16) as made:
        waiting = begin(made, *(window(model, number) for number in range(8)))
        await asyncio.sleep(0)
        model.go.set()
        await heard(waiting)

    assert max(len(windows) for windows, _ in model.decoded) <= 5


async def test_closing_fails_what_waits_and_takes_nothing_more() -> None:
    model = Model()
    made = Scheduler(Hardware("cpu", "int8", 1, 1, 1, 1), lambda *_: None)
    first = await held_up(made, model)
    waiting = begin(made, window(model, 1))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(asyncio.to_thread(made.close))
    await until(lambda: made._closed)
    model.go.set()
    await closing
    results = await heard([first, *waiting])

    assert all(isinstance(result, Unavailable) for result in results)
    with pytest.raises(Unavailable, match="stopping"):
        await made.hear(window(model, 2))


async def until(condition: Callable[[], bool]) -> None:
    def poll() -> None:
        for _ in range(2000):
            if condition():
                return
            threading.Event().wait(0.005)
        raise TimeoutError

    await asyncio.to_thread(poll)
