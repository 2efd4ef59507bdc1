"""Answers as a person would send them."""

import unicodedata

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


@pytest.mark.parametrize(
    "code",
    [
        "```Rode isto. Depois isto! E isto?```",
        "`git add. Depois git commit`",
        "veja:`um. Dois`",
        "(veja [o cardápio. Todo ele](https://exemplo.com/menu))",
    ],
)
def test_code_and_links_within_a_line_stay_whole(code: str) -> None:
    assert split_answer(f"Assim: {code} Pronto. Mais alguma coisa?", limit=len(code) + 20)[0].count(code) == 1


def test_code_that_begins_and_ends_within_lines_stays_whole() -> None:
    code = "Assim: ```\nlinha um. Fim.\n\nlinha dois. Fim.``` pronto."
    assert split_answer(f"{code}\nFoi isso. Mais alguma coisa?", limit=20) == [
        code,
        "Foi isso.",
        "Mais alguma coisa?",
    ]


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


# Pieces that have to arrive whole, and what stands around them.

EMOJI = ["👩🏽‍🍳", "👨‍👩‍👧‍👦", "🇧🇷", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "❤️", "1️⃣", "👍🏿", "a\u0301", "ก็", "क्षि"]
RIGHT_TO_LEFT = [
    "שלום. מה נשמע?",
    "مرحبا! كيف حالك؟ ",
    "\u2067עברית. ועוד\u2069",  # noqa: RUF001  (it is a Hebrew letter)
    "השעה 6:00. ",
    "רח' הרצל 5. ",
]
links = st.builds(
    "https://{}/{}".format,
    st.sampled_from(["exemplo.com.br", "a.b", "münchen.de"]),
    st.text(alphabet="abc.!?;,=&-_%23/👍é", max_size=60).map(lambda path: path + "x"),
)
named_links = st.builds(
    "[{}]({})".format, st.text(alphabet="ab .!?", max_size=20).map(lambda name: f"o{name}a"), links
)
inline_code = st.text(alphabet="ab .!?\n", min_size=1, max_size=40).map(
    lambda code: "`" + code.replace("\n", " ") + "`"
)
lines_of_code = st.lists(st.text(alphabet="ab .!?-*", max_size=30), max_size=12)
fenced_code = st.builds(
    "\n```{}\n{}\n```\n".format, st.sampled_from(["", "python"]), lines_of_code.map("\n".join)
)
prose = st.sampled_from(["Oi. ", "Que bom! ", "bem ", "\n", "\n\n", "Sr. ", "- item\n", "2) dois\n", "fim? "])
whole = links | named_links | inline_code | fenced_code | st.sampled_from(EMOJI).map(lambda each: each * 7)
answers = st.lists(st.tuples(prose | st.sampled_from(RIGHT_TO_LEFT), whole), min_size=1, max_size=15)


@given(answers, st.integers(5, 200))
def test_no_cut_falls_inside_a_link_or_code(answer: list[tuple[str, str]], limit: int) -> None:
    text = " ".join(f"{before}{piece} " for before, piece in answer)
    parts = split_answer(text, limit)
    assert "".join("".join(parts).split()) == "".join(text.split())
    place = 0
    for _, piece in answer:
        found = next(
            (n for n in range(place, len(parts)) if piece.strip() in parts[n]), None
        )  # in its order, too
        assert found is not None, piece
        place = found


@given(
    st.lists(st.sampled_from([*EMOJI, *RIGHT_TO_LEFT, "ab", "!"]), min_size=1, max_size=12),
    st.integers(1, 900),
    st.integers(0, 40),
)
@example(["👨‍👩‍👧‍👦"], 900, 1)
@example(["🇧🇷"], 2000, 1)
def test_emoji_and_right_to_left_text_stay_whole(words: list[str], times: int, blanks_after: int) -> None:
    """Also in words far longer than a message."""
    pieces = [each for word in words for each in (word.split() or [word])]
    text = "".join(piece * times + (" " if n < blanks_after else "") for n, piece in enumerate(pieces))
    parts = split_answer(text, 60)
    assert "".join("".join(parts).split()) == "".join(text.split())
    for part in parts:
        assert not starts_inside_a_character(part), part[:20]
        letters = [each for each in part if each in "🇧🇷"]
        assert len(letters) % 2 == 0, "half a flag"


def starts_inside_a_character(part: str) -> bool:
    """Whether a part begins with what belongs to the character before it."""
    first = part[0]
    return (
        unicodedata.category(first) in {"Mn", "Mc", "Me"}
        or first in "\u200d\ufe0f"
        or "\U0001f3fb" <= first <= "\U0001f3ff"
        or "\U000e0020" <= first <= "\U000e007f"
    )
