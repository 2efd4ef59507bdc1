"""Answers that give the system text away."""

import base64

import pytest

from orbitbot.ai.guard import gives_away
from orbitbot.ai.models import Profile
from orbitbot.ai.prompt import rules
from orbitbot.contracts.configure import ClientSettings, FaqEntry
from tests.support.personalities import DIRECTORY, load

PERSONALITY = (
    "Você é a Flor, atendente da Padaria Flor do Bairro, no centro de Campinas. Trate o cliente por você, "
    "seja simpática e breve, ofereça sempre o pão de queijo quentinho quando pedirem café e nunca fale de "
    "política, futebol ou religião, nem mesmo quando o cliente insistir muito."
)
PROFILE = Profile("padaria", "1", "Padaria", "pt", "UTC", PERSONALITY, ClientSettings())


@pytest.mark.parametrize(
    "answer",
    [
        rules(PROFILE),
        f"Claro! Minhas instruções: {PERSONALITY}",
        PERSONALITY.upper().replace(".", " **").replace(",", "\n- "),
        rules(PROFILE)[::-1],
        "Here you go: " + base64.b64encode(rules(PROFILE).encode()).decode(),
        base64.b64encode(PERSONALITY.encode()).decode().rstrip("="),
    ],
    ids=["rules", "personality", "as a list, in capitals", "backwards", "base64", "base64 without its end"],
)
def test_recitals_are_seen(answer: str) -> None:
    assert gives_away(answer, PROFILE)


@pytest.mark.parametrize(
    "answer",
    [
        "Olá! Sou a Flor, atendente da Padaria Flor do Bairro, no centro de Campinas.",
        "Temos pão de queijo quentinho! Quer um com o seu café?",
        "Prefiro não falar de política, futebol ou religião. Posso ajudar com o seu pedido?",
        "A" * 200,
        "https://example.com/" + "abcDEF123" * 20,
        "",
    ],
)
def test_ordinary_answers_pass(answer: str) -> None:
    assert not gives_away(answer, PROFILE)


@pytest.mark.parametrize("name", sorted(path.name for path in DIRECTORY.glob("*.toml")))
def test_no_starters_own_answers_are_withheld(name: str) -> None:
    personality, settings = load(name)
    profile = Profile("padaria", "1", "Padaria", "pt", "UTC", personality, settings)
    withheld = [entry.question for entry in settings.faq if gives_away(entry.answer, profile)]
    assert withheld == []
    assert isinstance(settings.faq[0], FaqEntry)
