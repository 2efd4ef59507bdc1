"""Answers as a person would send them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orbitbot.bot.splitting import PART_LIMIT, WHOLE_LIMIT, split_answer, typing_seconds
from orbitbot.contracts.bot import BotSettings


def test_a_short_answer_is_one_message_unchanged() -> None:
    text = "Bom dia! Abrimos às 6h.\n\nPosso ajudar em algo mais?"
    assert split_answer(text) == [text]


@pytest.mark.parametrize("text", ["", "  \n\n "])
def test_nothing_is_no_message(text: str) -> None:
    assert split_answer(text) == []


def test_cuts_fall_at_sentence_ends() -> None:
    sentences = [f"Esta é a frase número {n}, que fala do pão de queijo." for n in range(40)]
    parts = split_answer(" ".join(sentences))
    assert len(parts) > 1
    assert " ".join(parts) == " ".join(sentences)
    assert all(part.endswith(".") and len(part) <= PART_LIMIT for part in parts)


@pytest.mark.parametrize(
    "sentence",
    [
        "O Sr. João e a Dra. Ana moram na Av. Brasil, R. das Flores.",
        "Veja em https://exemplo.com.br/a.b?c=d!e e depois me diga.",
        "Custa R$ 3.50 ou 1.000 por mês.",
        "Leia [o cardápio. Todo ele](https://exemplo.com/menu) hoje.",
        "Temos pão, bolo etc. e muito mais.",
    ],
)
def test_what_only_looks_like_a_sentence_end_is_none(sentence: str) -> None:
    assert split_answer(f"{sentence} {sentence}", limit=len(sentence)) == [sentence, sentence]


def test_a_list_stays_whole() -> None:
    items = "\n".join(f"- item {n}: {'x' * 40}" for n in range(20))
    intro = "Temos estes produtos na loja, todos feitos hoje:"
    assert len(items) > PART_LIMIT
    assert split_answer(f"{intro}\n{items}\n\nQual prefere?") == [intro, items, "Qual prefere?"]


def test_a_list_too_long_for_one_message_is_cut_between_items() -> None:
    items = [f"{n}. {'y' * 90}" for n in range(60)]
    parts = split_answer("\n".join(items))
    assert "\n".join(parts) == "\n".join(items)
    assert all(line in items for part in parts for line in part.split("\n"))


def test_code_stays_whole() -> None:
    code = "```\n" + "\n\n".join(f"linha {n}. Fim. Outra!" for n in range(60)) + "\n```"
    assert PART_LIMIT < len(code) < WHOLE_LIMIT
    assert split_answer(f"Assim:\n{code}\nPronto.") == ["Assim:", code, "Pronto."]


def test_a_link_longer_than_a_message_stays_whole() -> None:
    link = "https://exemplo.com/" + "a" * 900
    assert split_answer(f"Aqui está: {link} e obrigado.") == ["Aqui está:", link, "e obrigado."]


TEXTS = st.lists(
    st.sampled_from(
        [
            "Oi. ",
            "a",
            "Que bom! ",
            "\n",
            "\n\n",
            "- item\n",
            "1. um\n",
            "```\n",
            "```x```",
            "~~~\n",
            "https://a.b/c ",
            "[x. Y](z) ",
            "Sr. ",
        ]
    )
    | st.text(max_size=30),
    max_size=60,
).map("".join)


@given(TEXTS, st.integers(5, 120))
@example("a" * 7000, 700)
@example("```\n" + "b" * 7000, 700)
def test_nothing_is_lost_repeated_or_reordered(text: str, limit: int) -> None:
    parts = split_answer(text, limit)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part.strip() for part in parts)
    assert all(len(part) <= max(limit, WHOLE_LIMIT) for part in parts)
    assert split_answer(text, limit) == parts


@given(st.text(alphabet="ab .!?\n", max_size=400), st.integers(5, 120))
def test_prose_without_long_words_keeps_the_limit(text: str, limit: int) -> None:
    if max((len(word) for word in text.split()), default=0) <= limit:
        assert all(len(part) <= limit for part in split_answer(text, limit))


def test_typing_takes_as_long_as_a_person_would_within_bounds() -> None:
    settings = BotSettings(typing_characters_per_second=10, max_typing_seconds=3)
    assert typing_seconds("x" * 20, settings) == 2.0
    assert typing_seconds("x" * 2000, settings) == 3.0
    assert typing_seconds("x" * 20, BotSettings(typing_characters_per_second=0)) == 0.0
