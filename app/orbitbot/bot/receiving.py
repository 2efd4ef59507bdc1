"""Takes the channel's events into the journal."""

import logging
import time
from collections.abc import Callable

import msgspec

from orbitbot.bot.channels.channel import UnusableEvent
from orbitbot.bot.journal import Journal
from orbitbot.bot.media import MAX_MEDIA_SIZE, MediaStore
from orbitbot.bot.models import ChannelId, InboundEvent, StoredMedia
from orbitbot.bot.rules import set_aside_reason
from orbitbot.contracts.bot import BotSettings
from orbitbot.foundation.logs import mask_contact

log = logging.getLogger(__name__)


class Receiver:
    """Journals events; the channel may acknowledge one when `receive` has returned.

    Args:
        settings: gives the settings of the moment.
        on_pending: told the contact whose message now waits for an answer.
        on_report: told that a report was queued.
        on_media_wanted: told that a voice note has to be fetched.
    """

    def __init__(
        self,
        journal: Journal,
        media: MediaStore,
        *,
        settings: Callable[[], BotSettings],
        on_pending: Callable[[str], None],
        on_report: Callable[[], None],
        on_media_wanted: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._media = media
        self._settings = settings
        self._on_pending = on_pending
        self._on_report = on_report
        self._on_media_wanted = on_media_wanted
        self._now = now

    def receive(self, event: InboundEvent) -> None:
        """Journal one event. A message delivered again changes nothing, even if its file is gone.

        Raises:
            UnusableEvent: it can never be journaled.
            JournalUnavailable: it could not be written now; offer it again.
        """
        if self._journal.knows(event.id):
            log.info("message delivered again", extra={"message_id": event.id, "action": "receive"})
            return
        event = _checked(event)
        if event.kind == "undecryptable":
            if self._journal.note_unread(event):
                log.warning(
                    "message could not be read; its sender is asked for it again",
                    extra={
                        "message_id": event.id,
                        "action": "receive",
                        "contact": mask_contact(event.contact),
                    },
                )
            return
        if event.remote_media and event.remote_media.size > MAX_MEDIA_SIZE:
            log.warning(
                "voice note is too large to fetch",
                extra={"message_id": event.id, "action": "media", "bytes": event.remote_media.size},
            )
            event = msgspec.structs.replace(event, remote_media=None)
        reason = set_aside_reason(event, self._settings(), self._now())
        stored = self._stored(event) if reason is None else None
        self._journal.record(event, stored, reason)
        log.info(
            "message set aside" if reason else "message journaled",
            extra={
                "message_id": event.id,
                "action": "receive",
                "contact": mask_contact(event.contact),
                "reason": reason or "",
            },
        )
        if reason:
            self._on_report()
        else:
            self._on_pending(event.contact)
            if event.remote_media and stored is None:
                self._on_media_wanted()

    def _stored(self, event: InboundEvent) -> StoredMedia | None:
        if event.media is not None:
            return self._media.keep(event.media)
        return self._media.find(event.remote_media) if event.remote_media else None


def _checked(event: InboundEvent) -> InboundEvent:
    """The event, fit to be stored and passed on as JSON, form field and file name."""
    for name, value in (("id", event.id), ("chat", event.chat), ("from", event.sender)):
        try:
            msgspec.convert(value, ChannelId)
        except msgspec.ValidationError as error:
            raise UnusableEvent(f"{name}: {error}") from error
    voice = event.type == "voice" and event.kind != "undecryptable"
    if voice and event.media is None and event.remote_media is None:
        raise UnusableEvent("a voice note without a file")
    # PostgreSQL stores no NUL: U+FFFD stands for "something was here".
    return msgspec.structs.replace(event, text=event.text.replace("\0", "\ufffd"))
