"""What a model may change in a transcript, and what stays as it was heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orbitbot.ai.corrections import correct, plain_word

RAW = "quero tres pacote de arros pra amanha"


@pytest.mark.parametrize(
    ("raw", "proposed", "expected"),
    [
        (RAW, "Quero três pacotes de arroz pra amanhã.", "Quero três pacotes de arroz pra amanhã."),
        ("tem pao de quejo", "Tem pão de queijo?", "Tem pão de queijo?"),
        ("bom dia padaria", "Bom dia, padaria!", "Bom dia, padaria!"),
    ],
)
def test_spelling_is_corrected(raw: str, proposed: str, expected: str) -> None:
    assert correct(raw, proposed)[0] == expected


@pytest.mark.parametrize(
    ("raw", "proposed"),
    [
        ("quero 3 pacotes", "quero 8 pacotes"),
        ("quero tres pacotes", "quero treze pacotes"),
        ("custa 27,90", "custa 2790"),
        ("as 15 horas", "as 5 horas"),
        ("nao quero arroz", "na quero arroz"),
        ("quero com acucar", "quero sem acucar"),
        ("fala com Marina por favor", "fala com Marino por favor"),
        ("quero arroz", "quero feijão"),
        ("quero arroz", "quero muito arroz"),
        ("quero muito arroz", "quero arroz"),
        ("quero arroz", "Claro! Vou separar o seu pedido agora."),
        ("quero arroz", ""),
        ("duas caixas", "dois caixas"),
        ("sim pode", "sem pode"),
    ],
)
def test_numbers_names_and_meaning_stay(raw: str, proposed: str) -> None:
    corrected, changes = correct(raw, proposed)
    assert [plain_word(word) for word in corrected.split()] == [plain_word(word) for word in raw.split()]
    assert changes == []


def test_a_name_may_become_one_of_the_businesss_own() -> None:
    assert correct("quero um Frutele", "quero um Frutelli", ["Frutelli Uva"])[0] == "quero um Frutelli"
    assert correct("quero um Frutele", "quero um Frutelli")[0] == "quero um Frutele"


def test_changes_are_told() -> None:
    changes = correct(RAW, "Quero três pacotes de arroz pra amanhã.")[1]
    assert [(change.heard, change.corrected) for change in changes] == [
        ("tres", "três"), ("pacote", "pacotes"), ("arros", "arroz"), ("amanha", "amanhã"),
    ]  # fmt: skip


WORDS = st.lists(
    st.sampled_from(["quero", "3", "pão", "nao", "Maria", "arros", "dez", "é", "?", "27,90"]), max_size=12
)


@given(WORDS, WORDS)
def test_whatever_is_proposed_numbers_and_the_count_of_words_stay(
    raw: list[str], proposed: list[str]
) -> None:
    corrected = correct(" ".join(raw), " ".join(proposed))[0].split()
    assert len(corrected) == len(raw)
    for old, new in zip(raw, corrected, strict=True):
        if any(letter.isdigit() for letter in old) or old in ("nao", "dez", "Maria"):
            assert plain_word(new) == plain_word(old)
