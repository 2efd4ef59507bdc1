"""The shop's day is what it claims to be: enough of everything, and answered as its author expects."""

import random
import tomllib
from pathlib import Path

import msgspec
import pytest

from orbitbot.ai.models import Profile, Question
from orbitbot.ai.providers.offline import OfflineProvider
from orbitbot.contracts.configure import ClientSettings
from tests.acceptance.scenario import Contact, load_day
from tests.support.voices import random_sentence

BAKERY = Path(__file__).parents[3] / "templates" / "personalities" / "bakery.pt.toml"
SEEDS = range(40)


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The bakery as its starter personality describes it."""
    bakery = tomllib.loads(BAKERY.read_text())
    return Profile(
        client_id="padaria",
        revision="1",
        name="Padaria",
        language="pt",
        timezone="America/Sao_Paulo",
        personality=bakery["personality"],
        settings=msgspec.convert(bakery["settings"], ClientSettings),
    )


def test_a_day_has_enough_of_everything() -> None:
    contacts = load_day(0)
    lines = [line for contact in contacts for line in contact.lines]

    assert len(contacts) >= 6
    assert sum(not line.is_voice for line in lines) >= 30
    assert sum(line.is_voice for line in lines) >= 5
    assert {exchange.reason for contact in contacts for exchange in contact.exchanges} == {
        "",
        "group",
        "too_old",
    }
    assert any(len(exchange.lines) > 2 for contact in contacts for exchange in contact.exchanges)
    assert len({contact.number for contact in contacts}) == len(contacts)


def test_a_seed_repeats_the_words_but_never_an_id() -> None:
    first, again, other = load_day(1), load_day(1), load_day(2)

    def words(day: list[Contact]) -> list[str]:
        return [line.text or line.said for contact in day for line in contact.lines]

    def ids(day: list[Contact]) -> set[str]:
        return {line.id for contact in day for line in contact.lines}

    assert words(first) == words(again) != words(other)
    assert ids(first).isdisjoint(ids(again))


def test_voice_notes_use_only_words_that_the_speech_test_model_knows() -> None:
    rng = random.Random(0)
    known = {word for _ in range(5000) for word in random_sentence(rng, longest=99).split()}

    said = {
        word
        for seed in SEEDS
        for contact in load_day(seed)
        for line in contact.lines
        for word in line.said.split()
    }

    assert said <= known


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_offline_provider_answers_as_the_day_expects(profile: Profile, seed: int) -> None:
    provider = OfflineProvider()

    for contact in load_day(seed):
        for exchange in contact.exchanges:
            if exchange.expect in ("any", "silenced"):
                continue
            message = "\n".join(line.text or line.said for line in exchange.lines)
            answer = await provider.answer(Question(profile=profile, message=message))
            assert answer.source == exchange.expect, message
