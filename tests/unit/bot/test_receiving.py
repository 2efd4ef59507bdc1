"""Events into the journal: redelivered, shuffled, across restarts, and never half."""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orbitbot.bot.channels.channel import UnusableEvent
from orbitbot.bot.journal import Journal
from orbitbot.bot.media import MediaStore
from orbitbot.bot.models import InboundEvent
from orbitbot.bot.receiving import Receiver
from orbitbot.contracts.bot import BotSettings

NOW = 1_790_000_000.0


class Intake:
    """A receiver on a journal, and what it told."""

    def __init__(self, directory: Path, bot_settings: BotSettings | None = None) -> None:
        self.pending: list[str] = []
        self.reports = 0
        self.journal = Journal(directory / "journal.db", now=lambda: NOW)
        self.media = MediaStore(directory / "media")
        self._receiver = Receiver(
            self.journal,
            self.media,
            settings=lambda: bot_settings or BotSettings(),
            on_pending=self.pending.append,
            on_report=self._count,
            now=lambda: NOW,
        )
        self.receive: Callable[[InboundEvent], None] = self._receiver.receive

    def _count(self) -> None:
        self.reports += 1

    def content(self) -> list[str]:
        return [line for line in self.journal._db.iterdump() if line.startswith("INSERT")]


def event(**changes: Any) -> InboundEvent:
    values: dict[str, Any] = {"id": "A1", "chat": "5511", "sender": "5511", "type": "text", "sent_at": NOW}
    return InboundEvent(**values | changes)


EVENTS = st.lists(
    st.builds(
        lambda contact, text, old, group: {
            "sender": f"55{contact}",
            "text": text,
            "old": old,
            "group": group,
        },
        st.integers(0, 3),
        st.text(max_size=40),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.randoms(use_true_random=False))
def test_delivered_three_times_shuffled_across_restarts_changes_nothing(
    given_events: list[dict[str, Any]], chance: random.Random
) -> None:
    events = [
        event(
            id=f"M{n}",
            sender=each["sender"],
            chat="777@g.us" if each["group"] else each["sender"],
            text=each["text"],
            sent_at=NOW - (30_000 if each["old"] else 0),
            group=each["group"],
        )
        for n, each in enumerate(given_events)
    ]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        intake = Intake(Path(directory))
        for each in events:
            intake.receive(each)
        content, told = intake.content(), len(intake.pending) + intake.reports
        assert told == len(events)
        intake.pending, intake.reports = [], 0
        for _ in range(2):
            for each in chance.sample(events, len(events)):
                if chance.random() < 0.3:
                    intake.journal.close()
                    intake = Intake(Path(directory))
                intake.receive(each)
                assert not intake.pending
                assert not intake.reports
                assert intake.content() == content
        intake.journal.close()


def test_a_voice_note_is_safe_before_it_is_journaled_and_needs_no_file_afterwards(tmp_path: Path) -> None:
    intake = Intake(tmp_path)
    source = tmp_path / "note.ogg"
    source.write_bytes(b"OggS")
    voice = event(type="voice", media=source)
    intake.receive(voice)
    (message,) = intake.journal.pending("5511")
    assert message.media is not None
    assert b"".join(intake.media.chunks(message.media)) == b"OggS"
    source.unlink()
    intake.receive(voice)
    assert intake.pending == ["5511"]
    intake.journal.close()


def test_the_voice_note_of_a_message_set_aside_is_not_kept(tmp_path: Path) -> None:
    intake = Intake(tmp_path, BotSettings(muted=True))
    source = tmp_path / "note.ogg"
    source.write_bytes(b"OggS")
    intake.receive(event(type="voice", media=source))
    assert list((tmp_path / "media").iterdir()) == []
    assert intake.reports == 1
    intake.journal.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "with blank"},
        {"id": "a/b"},
        {"id": "x" * 129},
        {"id": "new\nline"},
        {"id": "trailing\n"},
        {"id": "é"},
        {"sender": "", "chat": "5511"},
        {"chat": "a b"},
        {"type": "voice"},
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    intake = Intake(tmp_path)
    with pytest.raises(UnusableEvent):
        intake.receive(event(**changes))
    assert intake.content() == []
    intake.journal.close()


def test_nul_bytes_become_something_that_every_database_stores(tmp_path: Path) -> None:
    intake = Intake(tmp_path)
    intake.receive(event(text="a\0b"))
    assert [each.text for each in intake.journal.pending("5511")] == ["a\ufffdb"]
    intake.journal.close()
