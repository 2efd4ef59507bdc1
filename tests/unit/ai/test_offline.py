"""The offline provider: which texts make up its answer."""

import time

import pytest

from orbitbot.ai.models import Answer, Profile, Question
from orbitbot.ai.notices import notice
from orbitbot.ai.providers.offline import OfflineProvider
from orbitbot.contracts.configure import ClientSettings, FaqEntry
from tests.support.personalities import load

FAQ = [
    FaqEntry("Qual é o preço do arroz?", "R$ 27,90."),
    FaqEntry("Vocês fazem entrega?", "Sim, no bairro.", ["quero três pacotes para amanhã"]),
    FaqEntry("Oi, tudo bem?", "Oi!", ["bom dia"]),
]
NO_ANSWER = notice("no_answer", "pt")


def profile(revision: str = "1", faq: list[FaqEntry] = FAQ, **settings: str) -> Profile:
    return Profile(
        "padaria",
        revision,
        "Padaria",
        "pt",
        "UTC",
        "",
        ClientSettings(faq=faq, **settings),  # type: ignore[arg-type]
    )


async def ask(message: str, client: Profile | None = None) -> Answer:
    return await OfflineProvider().answer(Question(client or profile(), message))


@pytest.mark.parametrize(
    ("message", "text", "source"),
    [
        ("quanto é o arroz", "R$ 27,90.", "faq"),
        ("oi\nquanto é o arroz\nvocês entregam?", "Oi!\n\nR$ 27,90.\n\nSim, no bairro.", "faq"),
        ("Oi! Quanto é o arroz? Vocês entregam?", "Oi!\n\nR$ 27,90.\n\nSim, no bairro.", "faq"),
        ("quanto é o arroz\npreço do arroz?", "R$ 27,90.", "faq"),
        ("quanto é o arroz\n\n \n👍", "R$ 27,90.", "faq"),
        ("quero três pacotes. Para amanhã.", "Sim, no bairro.", "faq"),
        ("vocês consertam celular?", NO_ANSWER, "no_answer"),
        ("oi\nvocês consertam celular?", f"Oi!\n\n{NO_ANSWER}", "no_answer"),
        ("vocês consertam celular?\ne relógio?", NO_ANSWER, "no_answer"),
        ("👍", NO_ANSWER, "no_answer"),
        ("", NO_ANSWER, "no_answer"),
    ],
)
async def test_answers(message: str, text: str, source: str) -> None:
    answer = await ask(message)
    assert (answer.text, answer.source) == (text, source)
    assert (answer.model, answer.cost_usd, answer.provider_ms) == ("offline", 0.0, 0.0)


@pytest.mark.parametrize("separator", ["\n", ". "])
async def test_a_message_of_countless_lines_is_answered_in_bounded_time(separator: str) -> None:
    started = time.process_time()
    bakery = profile(faq=load("bakery.pt.toml")[1].faq)
    questions = separator.join(["quanto é o arroz", *["vocês consertam celular"] * 10_000])
    answer = await ask(questions, bakery)
    assert time.process_time() - started < 1.0
    assert "R$ 27,90" in answer.text


async def test_the_clients_own_words_for_no_answer() -> None:
    assert (await ask("celular?", profile(no_answer_text="Não sei!"))).text == "Não sei!"


async def test_a_new_revision_replaces_the_index() -> None:
    provider = OfflineProvider()
    for revision, price in (("1", "R$ 1"), ("2", "R$ 2")):
        client = profile(revision, [FaqEntry("Qual é o preço do arroz?", price)])
        assert (await provider.answer(Question(client, "preço do arroz"))).text == price
