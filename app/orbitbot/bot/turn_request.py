"""A turn as the HTTP request that posts it: byte for byte the same at every attempt."""

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

import msgspec

from orbitbot.bot.media import MediaStore
from orbitbot.bot.models import JournaledMessage, Turn
from orbitbot.contracts.messages import Member, PostMessage

_NEW_LINE: Final = b"\r\n"


def payload(turn: Turn) -> bytes:
    """The JSON of `contracts.messages.PostMessage`; without `replaces` where nothing was edited."""
    members = [
        Member(
            id=each.id,
            type=each.type,
            sent_at=each.sent_at,
            journaled_at=each.journaled_at,
            text=each.text,
        )
        for each in turn.members
    ]
    post = PostMessage(
        message="\n".join(each.text for each in members if each.type == "text"),
        type="voice" if any(each.type == "voice" for each in members) else "text",
        from_=turn.contact,
        members=members,
        replaces=list(turn.replaces),
    )
    fields = msgspec.to_builtins(post)
    if not turn.replaces:
        del fields["replaces"]
    return msgspec.json.encode(fields)


class TurnRequest:
    """Headers and body; voice notes are read from disk while they are sent, never all at once.

    Raises:
        FileNotFoundError: on making it, when a voice note's file is gone.
    """

    def __init__(self, turn: Turn, media: MediaStore) -> None:
        self._media = media
        self._payload = payload(turn)
        self._notes = [each for each in turn.members if each.media is not None]
        self.headers = {"Idempotency-Key": turn.id, "Content-Type": "application/json"}
        if self._notes:
            self._boundary = f"orbitbot-{turn.id}"
            self.headers["Content-Type"] = f"multipart/form-data; boundary={self._boundary}"
            self.headers["Content-Length"] = str(self._length())

    def body(self) -> bytes | AsyncIterator[bytes]:
        """A fresh body for one attempt."""
        return self._multipart() if self._notes else self._payload

    async def _multipart(self) -> AsyncIterator[bytes]:
        yield self._payload_part()
        for note in self._notes:
            yield self._note_head(note)
            if note.media is not None:
                for chunk in self._media.chunks(note.media):
                    yield chunk
            yield _NEW_LINE
        yield self._end()

    def _length(self) -> int:
        notes = sum(
            len(self._note_head(each)) + self._media.path(each.media).stat().st_size + len(_NEW_LINE)
            for each in self._notes
            if each.media is not None
        )
        return len(self._payload_part()) + notes + len(self._end())

    def _payload_part(self) -> bytes:
        head = (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="payload"\r\n'
            "Content-Type: application/json\r\n\r\n"
        )
        return head.encode() + self._payload + _NEW_LINE

    def _note_head(self, note: JournaledMessage) -> bytes:
        # A form field's name is quoted as HTML's form submission does it: only '"' matters, for an id
        # is visible ASCII. The file's name is for people only.
        name = note.id.replace('"', "%22")
        return (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{quote(note.id, safe="")}.ogg"\r\nContent-Type: audio/ogg\r\n\r\n'
        ).encode()

    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()
