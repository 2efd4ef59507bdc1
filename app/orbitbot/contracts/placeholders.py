"""The placeholders that a personality may hold, in double braces: `{{hours}}`."""

import re
from typing import Final

PLACEHOLDER: Final = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
PLACEHOLDER_NAMES: Final = (
    "business_name", "address", "phone", "website", "payment", "delivery", "hours", "prices", "notes",
)  # fmt: skip


def unknown_placeholders(text: str) -> list[str]:
    """Names in double braces that stand for nothing, in order, each once."""
    return [name for name in dict.fromkeys(PLACEHOLDER.findall(text)) if name not in PLACEHOLDER_NAMES]
