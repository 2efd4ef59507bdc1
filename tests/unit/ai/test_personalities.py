"""Every shipped starter personality can be configured, and is of use without a language model."""

import msgspec
import pytest

from orbitbot.ai.faq import FaqIndex
from orbitbot.ai.models import Profile
from orbitbot.ai.personality import PLACEHOLDERS, render
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.configure import Business, Opening, Price
from orbitbot.contracts.placeholders import PLACEHOLDER_NAMES, unknown_placeholders
from tests.support.personalities import DIRECTORY, load

FILES = sorted(path.name for path in DIRECTORY.glob("*.toml"))
PRODUCTS = (
    "arroz", "feijão", "café", "açúcar", "leite", "farinha", "óleo", "macarrão", "sal", "queijo", "pão",
    "água", "carne", "manteiga",
)  # fmt: skip


def test_every_placeholder_stands_for_something() -> None:
    assert set(PLACEHOLDERS) == set(PLACEHOLDER_NAMES)


def test_there_are_some() -> None:
    assert "bakery.pt.toml" in FILES


@pytest.mark.parametrize("name", FILES)
def test_decodes_and_says_what_the_assistant_is(name: str) -> None:
    personality, settings = load(name)
    assert len(personality) > 100
    assert settings.faq
    assert not settings.no_answer_text.startswith("\n")


@pytest.mark.parametrize("name", FILES)
def test_every_way_to_ask_finds_its_own_entry(name: str) -> None:
    settings = load(name)[1]
    index = FaqIndex(settings.faq)
    astray = [
        (text, found and found.question)
        for entry in settings.faq
        for text in (entry.question, *entry.also)
        if (found := index.best(text)) is None or found.answer != entry.answer
    ]
    assert astray == []


def test_the_bakery_prices_everything_that_it_sells() -> None:
    index = FaqIndex(load("bakery.pt.toml")[1].faq)
    for product in PRODUCTS:
        found = index.best(f"quanto custa {product}")
        assert found is not None
        assert "R$" in found.answer, product


def test_the_bakery_has_an_answer_to_the_usual_questions() -> None:
    settings = load("bakery.pt.toml")[1]
    assert len(settings.faq) >= 25


def test_the_bakery_names_the_pace_of_a_shop_that_sets_none() -> None:
    text = (DIRECTORY / "bakery.pt.toml").read_text()
    defaults = BotSettings()

    assert f"waits {defaults.quiet_seconds:g} s for the end of a burst" in text
    assert f"types {defaults.typing_characters_per_second:g} characters a second" in text
    assert f"for at most {defaults.max_typing_seconds:g} s." in text


KINDS = (
    "restaurant", "barber", "clinic", "shop", "estate-agent", "lawyer", "school", "freelancer", "support",
    "friendly", "formal", "developer",
)  # fmt: skip


@pytest.mark.parametrize("language", ["pt", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_reads_well_with_and_without_what_the_business_enters(kind: str, language: str) -> None:
    personality, settings = load(f"{kind}.{language}.toml")
    assert unknown_placeholders(personality) == []
    bare = render(Profile("a1", "1", "Casa Boa", language, "UTC", personality, settings))
    assert "Casa Boa" in bare
    assert "{{" not in bare
    assert not [line for line in bare.splitlines() if line.endswith(": ")]
    hours = [Opening(["mon", "tue", "wed"], "08:00", "18:00")]
    business = Business(address="Rua A, 1", hours=hours, prices=[Price("X", "R$ 1")])
    settings = msgspec.structs.replace(settings, business=business)
    filled = render(Profile("a1", "1", "Casa Boa", language, "UTC", personality, settings))
    assert "Rua A, 1" in filled
    assert "- X: R$ 1" in filled
    when = {"pt": "segunda a quarta: das 08:00 às 18:00", "en": "Monday to Wednesday: 08:00 to 18:00"}
    assert when[language] in filled
    assert len(filled) > len(bare)
