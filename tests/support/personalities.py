"""The shipped starter personalities, decoded as the gateway decodes them."""

import tomllib
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.contracts.configure import ClientSettings, Configure

DIRECTORY: Final = Path(__file__).parents[2] / "templates" / "personalities"


def load(name: str) -> tuple[str, ClientSettings]:
    """A file's personality text and its settings."""
    content = tomllib.loads((DIRECTORY / name).read_text("utf-8"))
    body = msgspec.json.decode(msgspec.json.encode(content), type=Configure)
    settings = msgspec.json.decode(msgspec.json.encode(content["settings"]), type=ClientSettings)
    return body.personality or "", settings
