"""Keeps libraries out of a bot that it has no use for: there are hundreds of it on a host.

To be called before anything else of the bot is imported. Measured on a complete bot: OpenSSL with asyncio's
TLS takes 1.9 MiB, `typing_extensions` 0.5.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

# msgspec asks for a name of typing's there and takes typing's own without it.
_UNUSED: Final = ("typing_extensions",)
# Only for an https:// gateway. WhatsApp's TLS is the Go library's; hashlib has SHA-256 of its own.
_TLS: Final = ("ssl", "_hashlib")


def stay_small(settings: Path) -> None:
    """Let imports of unused libraries fail, which their users expect.

    Args:
        settings: the bot's settings file. Where the gateway is not plainly at http://, TLS stays.
    """
    lines: list[str] = []
    with suppress(OSError, UnicodeDecodeError):  # whoever reads it in earnest says what is wrong with it
        lines = settings.read_text("utf-8").splitlines()
    plain = any(line.replace(" ", "").startswith('gateway_url="http://') for line in lines)
    modules: dict[str, Any] = sys.modules
    for name in _UNUSED + (_TLS if plain else ()):
        modules.setdefault(name, None)  # how Python marks a module that is not there
