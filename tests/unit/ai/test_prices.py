"""The list of models and their prices."""

import asyncio
import json
from typing import Any

import pytest

from orbitbot.ai.providers import prices
from orbitbot.ai.providers.base import ProviderError
from orbitbot.ai.providers.prices import ModelPrice, PriceList
from orbitbot.ai.settings import ProviderSettings

SETTINGS = ProviderSettings(default_model="m", api_key_file="/none")


def listed(*entries: Any) -> bytes:
    return json.dumps({"data": list(entries)}).encode()


def entry(
    prompt: Any = "0.000001", completion: Any = "0.000002", context: Any = 8000, **more: Any
) -> dict[str, Any]:
    return {
        "id": "m",
        "pricing": {"prompt": prompt, "completion": completion, **more},
        "context_length": context,
    }


def test_reads_openrouters_form() -> None:
    assert prices.parse(
        listed(entry(request="0.01"), {"id": "free", "pricing": {"prompt": "0", "completion": 0}})
    ) == {
        "m": ModelPrice(1e-6, 2e-6, 8000, 0.01),
        "free": ModelPrice(0, 0, prices.ASSUMED_CONTEXT),
    }
    assert ModelPrice(1e-6, 2e-6, 8000, 0.01).cost(1000, 100) == pytest.approx(0.0112)


@pytest.mark.parametrize(
    "wrong",
    [
        entry(prompt="-1"), entry(prompt="nan"), entry(completion="inf"), entry(completion=None),
        entry(prompt="1.0"),
        entry(prompt=[1]), entry(context=-1), entry(context="many"), {"id": "m"}, {"id": 7}, "text", None,
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_is_left_out_and_the_rest_is_read(wrong: Any) -> None:
    assert prices.parse(listed(wrong, entry() | {"id": "good"})).keys() == {"good"}


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"data": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(ProviderError):
        prices.parse(body)


async def test_unknown_prices_are_assumed_until_the_list_is_read() -> None:
    known = PriceList(SETTINGS)
    assert known.of("m").cost(1_000_000, 0) == SETTINGS.assumed_prompt_usd_per_million
    read: list[int] = []

    async def fetch() -> bytes:
        read.append(1)
        return listed(entry())

    known.refresh(fetch)
    known.refresh(fetch)
    await asyncio.wait_for(_until(lambda: known.knows("m")), 5)
    known.refresh(fetch)
    assert (known.of("m").prompt, len(read)) == (1e-6, 1)
    assert known.of("other").prompt > known.of("m").prompt
    await known.close()


async def test_a_list_that_cannot_be_read_is_tried_again_later() -> None:
    seconds = [100.0]
    known = PriceList(SETTINGS, lambda: seconds[0])
    tried: list[int] = []

    async def fetch() -> bytes:
        tried.append(1)
        raise ProviderError("no list")

    for _ in range(3):
        known.refresh(fetch)
        await asyncio.wait_for(_until(lambda: bool(tried)), 5)
    assert len(tried) == 1
    seconds[0] += prices.RETRY_SECONDS
    known.refresh(fetch)
    await asyncio.wait_for(_until(lambda: len(tried) == 2), 5)
    await known.close()


async def _until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110  (it is made true by a task of the object under test)
        await asyncio.sleep(0)
