"""Follows docs/operations/first-fleet.md as a new operator does: in a checkout of its own, word by word."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.support import runbook

PAGE: Final = runbook.REPOSITORY / "docs/operations/first-fleet.md"
_PARTS: Final = (
    "app",
    "docs",
    "inventory/example",
    "locks",
    "playbooks",
    "plugins",
    "roles",
    "templates",
    "tests/data",
)
_FILES: Final = ("ansible.cfg", "LICENSE", "NOTICE", "pyproject.toml", "README.md", "requirements.yml")


def check_out(folder: Path) -> Path:
    """A checkout without anything that an operator has added, in `folder`."""
    for part in _PARTS:
        ignored = shutil.ignore_patterns("__pycache__", "vault.yml")
        shutil.copytree(runbook.REPOSITORY / part, folder / part, ignore=ignored)
    for name in _FILES:
        shutil.copy(runbook.REPOSITORY / name, folder / name)
    return folder


def commands(sections: Mapping[str, Mapping[str, str]]) -> Iterator[runbook.Command]:
    """The page's commands of some sections, with what an operator puts into them.

    Args:
        sections: heading → what its commands say → what they say on this fleet.
    """
    for command in runbook.commands(PAGE):
        if command.section not in sections or command.not_run:
            continue
        text, expected = command.text, command.expected
        for old, new in sections[command.section].items():
            text = text.replace(old, new)
        yield runbook.Command(command.where, command.section, text, expected)
