"""Voice notes on their way through the bot: one file per content, named by its SHA-256."""

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orbitbot.bot.files import open_regular, sync_directory
from orbitbot.bot.journal import JournalUnavailable
from orbitbot.bot.models import RemoteMedia, StoredMedia

MAX_MEDIA_SIZE: Final = 16_000_000  # bytes; WhatsApp's own limit for audio
_CHUNK: Final = 65_536  # bytes
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

log = logging.getLogger(__name__)


class MediaStore:
    """Keeps voice notes until their turn is final."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, exist_ok=True)

    def keep(self, source: Path) -> StoredMedia | None:
        """Copy a file into the store, on disk when this returns. None if it is too large or empty.

        Raises:
            UnusableEvent: there is no such regular file.
            JournalUnavailable: it could not be written.
        """
        temporary = self._directory / f".{os.getpid()}.tmp"
        digest, size = hashlib.sha256(), 0
        with open_regular(source) as reading:
            try:
                with temporary.open("wb") as writing:
                    while chunk := reading.read(_CHUNK):
                        size += len(chunk)
                        if size > MAX_MEDIA_SIZE:
                            break
                        digest.update(chunk)
                        writing.write(chunk)
                    writing.flush()
                    os.fsync(writing.fileno())
                if not 0 < size <= MAX_MEDIA_SIZE:
                    log.warning("voice note not kept", extra={"action": "media", "bytes": size})
                    return None
                temporary.rename(self._directory / digest.hexdigest())
                sync_directory(self._directory)
            except OSError as error:
                raise JournalUnavailable(f"the media folder cannot be written: {error.strerror}") from error
            finally:
                temporary.unlink(missing_ok=True)
        return StoredMedia(digest.hexdigest(), size)

    def find(self, wanted: RemoteMedia) -> StoredMedia | None:
        """The file if it is here already, whoever sent it before; it need not be fetched again."""
        if not _DIGEST.fullmatch(wanted.digest):
            return None
        try:
            size = (self._directory / wanted.digest).stat().st_size
        except FileNotFoundError:
            return None
        return StoredMedia(wanted.digest, size)

    def new_file(self) -> Path:
        """A name to fetch a file under; `keep` it afterwards, and remove it."""
        return self._directory / f".{os.getpid()}.fetched"

    def chunks(self, media: StoredMedia) -> Iterator[bytes]:
        """The file's content, piece by piece."""
        with self.path(media).open("rb") as reading:
            while chunk := reading.read(_CHUNK):
                yield chunk

    def path(self, media: StoredMedia) -> Path:
        """Where the file lies."""
        return self._directory / media.digest

    def sweep(self, in_use: set[str]) -> int:
        """Remove every file that is not `in_use` (digests); returns how many went."""
        unused = [path for path in self._directory.iterdir() if path.name not in in_use]
        for path in unused:
            path.unlink(missing_ok=True)
        return len(unused)
