"""The folder `templates/`, which holds everything that people read."""

from importlib.resources import files
from pathlib import Path


def templates_folder() -> Path:
    """The folder: in the installed package, or at the root of a source tree."""
    packaged = Path(str(files("orbitbot"))) / "templates"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "templates"
