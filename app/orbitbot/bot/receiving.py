"""Takes the channel's events into the journal."""

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from orbitbot.bot.channels.channel import UnusableEvent
from orbitbot.bot.describing import described
from orbitbot.bot.journal import Journal
from orbitbot.bot.media import MAX_MEDIA_SIZE, MediaStore
from orbitbot.bot.models import ChannelId, InboundEvent, StoredMedia
from orbitbot.bot.rules import set_aside_reason
from orbitbot.contracts.bot import BotSettings
from orbitbot.foundation.logs import mask_contact

TAKEOVER_AGE: Final = 900.0  # seconds; what the phone hands over later than that is history

log = logging.getLogger(__name__)


class Receiver:
    """Journals events; the channel may acknowledge one when `receive` has returned.

    Args:
        settings: gives the settings of the moment.
        on_pending: told the contact whose message now waits for an answer.
        on_report: told that a report was queued.
        on_media_wanted: told that a voice note has to be fetched.
        on_ended: told the contact whose turn under way, if there is one, may have ended: a person took
            over, or a message was changed.
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
        on_ended: Callable[[str], None] = lambda contact: None,  # noqa: ARG005
        now: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._media = media
        self._settings = settings
        self._on_pending = on_pending
        self._on_report = on_report
        self._on_media_wanted = on_media_wanted
        self._on_ended = on_ended
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
        event = self._named(_checked(event))
        if event.kind in {"edit", "deletion"}:
            self._change(event)
            return
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
        settings = self._settings()
        written = event.text
        reason = set_aside_reason(event, settings, self._now())
        event = msgspec.structs.replace(event, text=described(event, settings.language))
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
        if event.kind == "own":
            self._take_over(event, written)
        if reason:
            self._on_report()
        else:
            self._on_pending(event.contact)
            if event.remote_media and stored is None:
                self._on_media_wanted()

    def _named(self, event: InboundEvent) -> InboundEvent:
        """The event under the one name of its sender: the number, wherever it is known."""
        if (
            event.alias
            and event.alias != event.sender
            and self._journal.learn_alias(event.alias, event.sender)
        ):
            self._on_ended(event.alias)
            self._on_pending(event.sender)
            self._on_report()
        sender, chat = self._journal.contact_of(event.sender), event.chat
        if not event.group:
            chat = self._journal.contact_of(chat)
        return msgspec.structs.replace(event, sender=sender, chat=chat)

    def _change(self, event: InboundEvent) -> None:
        """Somebody edited or took back a message of their own."""
        new = event.text if event.kind == "edit" else ""
        contact = self._journal.change_message(event.target, event.sender, new)
        log.info(
            "message changed" if contact else "nothing to change",
            extra={"message_id": event.target, "action": event.kind, "contact": mask_contact(event.contact)},
        )
        if contact:
            self._on_ended(contact)
            self._on_pending(contact)
            self._on_report()

    def _take_over(self, event: InboundEvent, written: str) -> None:
        """Somebody wrote to a contact by hand: the assistant leaves that chat to them for a while."""
        settings, contact = self._settings(), event.chat
        word = written.strip().casefold()
        old = self._now() - event.sent_at > TAKEOVER_AGE
        if event.group or contact == event.sender or contact.partition("@")[2] not in {"", "lid"} or old:
            return
        if word in {each.casefold() for each in settings.resume_words}:
            self._journal.hand_back(contact, at=self._now())
        elif word in {each.casefold() for each in settings.pause_words}:
            self._journal.take_over(contact, event.id, "", at=self._now(), minutes=None)
        elif settings.takeover_minutes > 0:
            minutes = settings.takeover_minutes
            self._journal.take_over(contact, event.id, event.text, at=self._now(), minutes=minutes)
        else:
            return
        log.info("a person writes", extra={"action": "take_over", "contact": mask_contact(contact)})
        self._on_ended(contact)
        self._on_pending(contact)

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
