"""Which key a client's calls are made with: its own, if it has one, else the operator's.

The operator's key is in a file that is looked at before each call, so that a key entered, changed or removed
later needs no restart.
"""

import logging
import os
from pathlib import Path
from typing import Final

from orbitbot.ai.models import Profile
from orbitbot.ai.sealing import SealBrokenError, Sealer

KEY_LENGTH_LIMIT: Final = 1000  # bytes; a longer file is not a key
OPENED_KEPT: Final = 2_000  # clients' own keys, per process

log = logging.getLogger(__name__)


def is_key(text: str) -> bool:
    """Whether this can be an API key: one word of ASCII."""
    return 0 < len(text) <= KEY_LENGTH_LIMIT and text.isascii() and text.isprintable() and " " not in text


class KeyFile:
    """A file that may hold an API key, read again when it changes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.problem = ""  # why there is no key
        self._state: tuple[int, int, int] | None = None
        self._key = ""

    def key(self) -> str:
        """The key, or an empty text; `problem` then says why."""
        try:
            status = os.stat(self.path)  # noqa: PTH116  (called for each answer: half the cost of Path.stat)
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if state != self._state:
                self._key, self.problem = self._read()
                self._state = state
        except FileNotFoundError:
            self._forget("no provider key")
        except (OSError, UnicodeDecodeError) as error:
            self._forget(f"the provider key cannot be read ({type(error).__name__})")
        return self._key

    def _read(self) -> tuple[str, str]:
        with self.path.open("rb") as file:
            key = file.read(KEY_LENGTH_LIMIT + 1).decode("ascii").strip()
        if not key:
            return "", "no provider key"
        if not is_key(key):
            return "", "the provider key's file does not hold a key"
        return key, ""

    def _forget(self, problem: str) -> None:
        self._state, self._key, self.problem = None, "", problem


class Keyring:
    """The operator's key and those of clients, which are opened as they are needed.

    Args:
        sealer: None where the host has no secret to open clients' keys with.
    """

    def __init__(self, operators: KeyFile, sealer: Sealer | None) -> None:
        self.operators = operators
        self.sealer = sealer
        self._opened: dict[bytes, str] = {}

    def key_of(self, profile: Profile) -> tuple[str, bool]:
        """The key for this client's calls, and whether it is the client's own; an empty text for none.

        A client whose own key cannot be opened has none: the operator does not pay for it unasked.
        """
        if profile.sealed_key is None:
            return self.operators.key(), False
        key = self._opened.get(profile.sealed_key)
        if key is None:
            key = self._open(profile.client_id, profile.sealed_key)
            if len(self._opened) >= OPENED_KEPT:
                self._opened.clear()
            self._opened[profile.sealed_key] = key
        return key, True

    def _open(self, client_id: str, sealed: bytes) -> str:
        about = {"client_id": client_id, "action": "open_key"}
        if self.sealer is None:
            log.error("no sealing_secret_file: the client's own provider key cannot be opened", extra=about)
            return ""
        try:
            return self.sealer.open(client_id, sealed)
        except SealBrokenError as error:
            log.error("the client's own provider key cannot be opened: %s", error, extra=about)  # noqa: TRY400
            return ""
