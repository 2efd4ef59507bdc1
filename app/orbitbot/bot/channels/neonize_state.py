"""What the neonize channel remembers between processes: which phone is linked, and since when."""

import os
import time
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.bot.files import sync_directory

_WRITE_EVERY: Final = 3600.0  # seconds between writes of nothing but a sign of life of the phone


class LinkedPhone(msgspec.Struct, rename="camel", kw_only=True):
    """The linked phone; times are Unix seconds.

    Attributes:
        number: digits only; empty while none is linked.
        paired_at: what was written before this is never answered.
        seen_at: when the phone itself last showed a sign of life. After two silent weeks WhatsApp drops the
            link.
    """

    number: str = ""
    paired_at: float = 0.0
    seen_at: float | None = None


class PhoneFile:
    """Keeps a `LinkedPhone` on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written_at = 0.0
        try:
            self.phone = msgspec.json.decode(path.read_bytes(), type=LinkedPhone)
        except (FileNotFoundError, msgspec.DecodeError):
            self.phone = LinkedPhone()

    def link(self, number: str) -> None:
        """A phone was linked now."""
        now = time.time()
        self.phone = LinkedPhone(number=number, paired_at=now, seen_at=now)
        self._write()

    def know(self, number: str) -> None:
        """The linked phone has this number; since when it is linked is not known."""
        if self.phone.number != number:
            self.phone.number = number
            self._write()

    def unlink(self) -> None:
        """No phone is linked any more."""
        self.phone = LinkedPhone()
        self._write()

    def seen(self, at: float) -> bool:
        """The phone has shown a sign of life; whether that is news worth telling."""
        if self.phone.seen_at is not None and at - self.phone.seen_at < _WRITE_EVERY:
            return False
        self.phone.seen_at = at
        self._write()
        return True

    def _write(self) -> None:
        temporary = self._path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(msgspec.json.encode(self.phone))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._path)
            sync_directory(self._path.parent)
        except OSError:  # a full disk must not end the channel: the next write comes
            temporary.unlink(missing_ok=True)
