"""What pages say: the same in every language, and nothing that a template asks for is missing."""

import re
import string

import pytest

from orbitbot.dashboard.texts import LANGUAGES, choose_language, texts
from orbitbot.foundation.notices import templates


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_says_the_same() -> None:
    first, *others = (texts(each) for each in LANGUAGES)
    for other in others:
        assert other.keys() == first.keys()
        for key in first.keys():  # noqa: SIM118  (Texts is no mapping)
            values = {name: f"<{name}>" for name in ("name", "number", "index", "codes", "spelled")}
            assert places(first(key)) == places(other(key)), key
            assert "{" not in first(key, **values)


def test_every_text_that_a_template_names_is_there() -> None:
    known = texts("pt").keys()
    folder = templates() / "dashboard"
    pages = [folder / "base.html.j2", *(folder / "pair").iterdir()]
    named = {key for page in pages for key in re.findall(r"\bt\('([a-z_.]+)'[,)]", page.read_text("utf-8"))}
    assert len(named) > 20
    assert named <= set(known)


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "otherwise", "chosen"),
    [
        ("en", "pt", "pt-BR", "pt", "en"),
        ("xx", "en", "pt-BR", "pt", "en"),
        ("", "", "pt-BR,pt;q=0.9,en;q=0.8", "en", "pt"),
        ("", "", "fr;q=0.9,en-GB;q=0.8,pt;q=0.1", "pt", "en"),
        ("", "", "de,fr;q=x,pt;q=0", "pt-BR", "pt"),
        ("", "", "", "es", "en"),
    ],
)
def test_the_language_is_chosen(
    asked: str, remembered: str, accepted: str, otherwise: str, chosen: str
) -> None:
    assert choose_language(asked, remembered, accepted, otherwise) == chosen
