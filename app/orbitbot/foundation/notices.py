"""The texts that a contact gets in place of an answer, in the client's language.

They are the files `templates/notices/<language>/<name>.txt`: in the wheel as package data, and beside
the package in a source tree.
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

DEFAULT_LANGUAGE: Final = "en"


@cache
def notice(name: str, language: str) -> str:
    """The text called `name` in `language` (BCP 47); English where the language has none.

    Tries the whole tag, then its first part: `pt-BR`, then `pt`.

    Raises:
        FileNotFoundError: the installation lacks the templates.
    """
    folder = templates() / "notices"
    for tag in (language, language.partition("-")[0].lower(), DEFAULT_LANGUAGE):
        file = folder / tag / f"{name}.txt"
        if tag.replace("-", "").isalnum() and file.is_file():
            return file.read_text("utf-8").strip()
    raise FileNotFoundError(f"{folder}/{DEFAULT_LANGUAGE}/{name}.txt")


def templates() -> Traversable:
    """The folder `templates/`: in the installed package, or at the root of a source tree."""
    packaged = files("orbitbot") / "templates"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[3] / "templates"
