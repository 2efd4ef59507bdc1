"""Texts as comparable words."""

import pytest

from orbitbot.ai.words import LIGHT_WORDS, statements, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Qual é o PREÇO do pão?", ["qual", "e", "o", "preco", "do", "pao"]),
        ("vc abre hj?!", ["voce", "abre", "hoje"]),
        ("obrigadaaaa", ["obrigada"]),
        ("carro passo", ["carro", "passo"]),
        ("3 pacotes", ["#", "pacotes"]),
        ("número um dois três 45", ["numero", "um", "#"]),
        ("pf", ["por", "favor"]),
        ("pão-de-queijo_fresco", ["pao", "de", "queijo", "fresco"]),
        ("ﬁlé", ["file"]),
        ("👍 ok 👍", ["ok"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_light_words_are_normalised_themselves() -> None:
    assert {word for word in LIGHT_WORDS if words(word) != [word]} == set()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Oi! Tem pão? Quanto é?", ["Oi", "Tem pão", "Quanto é"]),
        ("custa R$ 3.50", ["custa R$ 3.50"]),
        ("sem ponto", ["sem ponto"]),
        ("...", []),
    ],
)
def test_statements(line: str, expected: list[str]) -> None:
    assert statements(line) == expected
