"""docs/index.md names files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "index.md"
_NAMED = re.compile(r"`((?:app|roles|playbooks|inventory|tests)/[\w./-]+)`")
_LINKED = re.compile(r"\]\(([^)#:]+)\)")


def named() -> list[Path]:
    """Every file and folder of the repository that the page names; `roles/NAME/` stands for any."""
    return [ROOT / name for name in sorted(set(_NAMED.findall(INDEX.read_text()))) if "NAME" not in name]


def test_there_are_some() -> None:
    assert len(named()) > 20


@pytest.mark.parametrize(
    "path", [*named(), *(INDEX.parent / link for link in _LINKED.findall(INDEX.read_text()))], ids=str
)
def test_it_exists(path: Path) -> None:
    assert path.exists()
