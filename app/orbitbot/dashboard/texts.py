"""What pages say, in the reader's language: `templates/dashboard/texts/<language>.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal

from orbitbot.foundation.notices import templates

Language = Literal["pt", "en"]

LANGUAGES: Final[tuple[Language, ...]] = ("pt", "en")


class Texts:
    """One language's texts by dotted key."""

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self._texts = flatten(texts)

    def __call__(self, key: str, **values: object) -> str:
        """The text called `key`, with `values` in its places.

        Raises:
            KeyError: there is no such text, or it needs a value that is not given.
        """
        return self._texts[key].format(**values) if values else self._texts[key]

    def keys(self) -> list[str]:
        """Every key."""
        return sorted(self._texts)


@cache
def texts(language: Language) -> Texts:
    """The texts of one language."""
    path = templates() / "dashboard" / "texts" / f"{language}.toml"
    return Texts(tomllib.loads(path.read_text("utf-8")))


def flatten(texts_: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested tables as dotted keys."""
    flat: dict[str, str] = {}
    for name, value in texts_.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = str(value)
    return flat


def choose_language(asked: str, remembered: str, accepted: str, otherwise: str) -> Language:
    """The language to speak: what was asked for, else remembered, else what the browser prefers.

    Args:
        asked, remembered: a language, or anything else, which is passed over.
        accepted: an `Accept-Language` header.
        otherwise: BCP 47, where nothing above says any of `LANGUAGES`.
    """
    for choice in (asked, remembered, *_by_weight(accepted), otherwise):
        short = choice.strip().lower().partition("-")[0]
        for language in LANGUAGES:
            if short == language:
                return language
    return "en"


def _by_weight(accepted: str) -> list[str]:
    weighed = []
    for position, part in enumerate(accepted[:200].split(",")):
        tag, _, quality = part.partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        if weight > 0:
            weighed.append((-weight, position, tag))
    return [tag for _, _, tag in sorted(weighed)]
