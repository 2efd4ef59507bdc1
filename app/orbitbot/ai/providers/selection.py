"""Which provider answers: the language model once there is a key, the client's FAQ until then.

The key's file is looked at before each call, so that a key entered, changed or removed later needs no
restart. Where the model fails, the FAQ answers instead: no contact ever reads an error.
"""

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.ai.models import Answer, Question
from orbitbot.ai.providers.base import Provider, ProviderError
from orbitbot.ai.providers.offline import OfflineProvider
from orbitbot.ai.providers.openai_compatible import OpenAICompatible
from orbitbot.ai.settings import ProviderSettings

KEY_LENGTH_LIMIT: Final = 1000  # bytes; a longer file is not a key

log = logging.getLogger(__name__)


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
        if len(key) > KEY_LENGTH_LIMIT or not key.isprintable() or " " in key:
            return "", "the provider key's file does not hold a key"
        return key, ""

    def _forget(self, problem: str) -> None:
        self._state, self._key, self.problem = None, "", problem


class LastError(msgspec.Struct, frozen=True):
    """The last failure of the language model's service."""

    at: datetime
    reason: str


class Providers:
    """Chooses, falls back, and remembers the last failure for `/readyz`."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._key_file = KeyFile(settings.api_key_file)
        self._offline = OfflineProvider()
        self._online = OpenAICompatible(settings, self._key_file.key)
        self._last_error: LastError | None = None
        self._recovered = False

    async def close(self) -> None:
        """Close the connections to the service."""
        await self._online.close()

    def online(self) -> OpenAICompatible | None:
        """The language model, if there is a key for it."""
        return self._online if self._key_file.key() else None

    async def answer(self, question: Question) -> Answer:
        """An answer, always: from the model, else from the client's FAQ, else its honest no."""
        online: Provider | None = self.online()
        if online is None:
            return await self._offline.answer(question)
        started = time.perf_counter()
        try:
            answer = await online.answer(question)
        except ProviderError as error:
            waited = (time.perf_counter() - started) * 1000
            self.note_failure(error, question.profile.client_id)
            return msgspec.structs.replace(await self._offline.answer(question), provider_ms=waited)
        self.note_success()
        return answer

    def note_failure(self, error: ProviderError, client_id: str) -> None:
        """Log a failed call and keep its reason."""
        self._last_error, self._recovered = LastError(datetime.now(UTC), str(error)), False
        log.warning(
            "the provider failed: %s", error, extra={"client_id": client_id, "action": "ask_provider"}
        )

    def note_success(self) -> None:
        """The service answers (again)."""
        self._recovered = True

    async def describe(self) -> str:
        """Which provider is in use and why, for `/readyz`. Holds no secret."""
        if self.online() is None:
            return f"offline: {self._key_file.problem}"
        text = f"{OpenAICompatible.name}: {self._settings.base_url}, model {self._settings.default_model}"
        if self._last_error is not None:
            since = "it has answered since" if self._recovered else "the FAQ answers meanwhile"
            error = self._last_error
            text += f"; last error {error.at:%Y-%m-%dT%H:%M:%SZ}: {error.reason}; {since}"
        return text
