"""docs/api/settings.md names every setting of a client, and no other."""

import re
from pathlib import Path

import msgspec

from orbitbot.contracts.configure import ClientSettings
from orbitbot.contracts.placeholders import PLACEHOLDER_NAMES

PAGE = (Path(__file__).parents[2] / "docs/api/settings.md").read_text("utf-8")


def test_every_setting_is_there_and_no_other() -> None:
    cells = re.findall(r"^\| (`[^|]+`) \|", PAGE, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == {field.encode_name for field in msgspec.structs.fields(ClientSettings)}


def test_every_placeholder_is_there() -> None:
    assert set(re.findall(r"\{\{(\w+)\}\}", PAGE)) == set(PLACEHOLDER_NAMES)


def test_the_defaults_are_allowed_values() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ClientSettings()), type=ClientSettings) == ClientSettings()
