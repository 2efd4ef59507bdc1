"""The journal: what is unique, what is one transaction, what survives."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from orbitbot.bot.journal import Journal, JournalFromNewerRelease, JournalUnavailable
from orbitbot.bot.journal_schema import MIGRATIONS
from orbitbot.bot.models import InboundEvent, RemoteMedia, StoredMedia
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.reports import Delivery, SetAside

NOW = 1_790_000_000.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db", now=lambda: NOW)
    yield opened
    opened.close()


def event(message_id: str = "A1", contact: str = "5511", text: str = "oi") -> InboundEvent:
    return InboundEvent(id=message_id, chat=contact, sender=contact, type="text", sent_at=NOW - 1, text=text)


def answered(journal: Journal, parts: int = 1) -> str:
    """A turn with an answer of so many parts, not yet sent."""
    journal.record(event())
    journal.fix_turn("t1", journal.pending("5511"))
    journal.record_answer("t1", [f"parte {n}" for n in range(parts)])
    return "t1"


def reports(journal: Journal) -> list[SetAside | Delivery]:
    return [msgspec.json.decode(each.body, type=SetAside | Delivery) for each in journal.next_reports(200)]


def test_every_write_is_synced(tmp_path: Path, journal: Journal) -> None:
    def pragma(name: str) -> object:
        return journal._db.execute(f"PRAGMA {name}").fetchone()[0]

    assert (pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")) == ("wal", 2, 1)
    assert pragma("user_version") == len(MIGRATIONS)


def test_a_message_is_journaled_once(journal: Journal) -> None:
    assert journal.record(event(text="oi"))
    assert not journal.record(event(text="outra coisa"))
    assert [each.text for each in journal.pending("5511")] == ["oi"]
    assert journal.knows("A1")
    assert not journal.knows("A2")


def test_what_is_set_aside_is_reported_once(journal: Journal) -> None:
    journal.record(event(), set_aside="muted")
    journal.record(event(), set_aside="muted")
    assert reports(journal) == [
        SetAside(
            message_id="A1",
            from_="5511",
            type="text",
            sent_at=NOW - 1,
            journaled_at=NOW,
            reason="muted",
            at=NOW,
        )
    ]
    assert journal.pending("5511") == ()
    assert journal.contacts_with_work() == []


def test_a_turn_takes_its_members_in_one_transaction(journal: Journal) -> None:
    journal.record(event("A1"))
    journal.record(event("A2"))
    members = journal.pending("5511")
    journal.fix_turn("t1", members)
    turn = journal.turn_under_way("5511")
    assert turn is not None
    assert (turn.id, turn.state, turn.members) == ("t1", "fixed", members)
    assert journal.pending("5511") == ()
    assert journal.contacts_with_work() == ["5511"]


def test_a_message_is_never_in_two_turns_nor_a_contact_in_two(journal: Journal) -> None:
    journal.record(event("A1"))
    first = journal.pending("5511")
    journal.fix_turn("t1", first)
    journal.record(event("A2"))
    with pytest.raises(sqlite3.IntegrityError):
        journal.fix_turn("t2", journal.pending("5511"))
    journal.finish_turn("t1", "silenced", "quota")
    with pytest.raises(AssertionError, match="A1 is not pending"):
        journal.fix_turn("t3", first)
    assert journal.turn_under_way("5511") is None, "a turn that could not be fixed leaves nothing"
    journal.fix_turn("t4", journal.pending("5511"))


def test_parts_are_marked_and_delivery_is_reported(journal: Journal) -> None:
    turn = answered(journal, parts=2)
    journal.begin_part(turn, 1, maybe_repeated=False)
    assert [each.state for each in journal.parts(turn)] == ["sending", "pending"]
    assert not journal.finish_part(turn, 1)
    journal.begin_part(turn, 2, maybe_repeated=False)
    assert journal.finish_part(turn, 2)
    assert reports(journal) == [
        Delivery(turn=turn, state="delivering", at=NOW),
        Delivery(turn=turn, state="delivered", at=NOW),
    ]
    assert [each.send_id for each in journal.parts(turn)] == ["t1-1", "t1-2"]
    assert journal.turn_under_way("5511") is None


def test_a_doubtful_part_flags_its_turn(journal: Journal) -> None:
    turn = answered(journal, parts=2)
    journal.begin_part(turn, 1, maybe_repeated=False)
    journal.begin_part(turn, 1, maybe_repeated=True)
    journal.finish_part(turn, 1)
    journal.begin_part(turn, 2, maybe_repeated=False)
    journal.finish_part(turn, 2)
    assert reports(journal)[-1] == Delivery(turn=turn, state="delivered", at=NOW, maybe_repeated=True)


def test_reports_leave_when_they_are_accepted_and_a_refused_one_steps_aside(journal: Journal) -> None:
    for n in range(5):
        journal.record(event(f"A{n}"), set_aside="muted")
    queue = journal.next_reports(3)
    assert [each.seq for each in queue] == [1, 2, 3]
    journal.forget_reports(queue[:2])
    journal.refuse_report(queue[2], "400 invalid-input")
    assert [each.seq for each in journal.next_reports(200)] == [4, 5]


def test_settings_are_kept(tmp_path: Path, journal: Journal) -> None:
    assert journal.settings() == BotSettings()
    settings = BotSettings(config_version=7, quiet_seconds=1.5, fleet_numbers=["5511"])
    journal.keep_settings(BotSettings(config_version=6))
    journal.keep_settings(settings)
    again = Journal(tmp_path / "journal.db")
    assert again.settings() == settings
    again.close()


def test_backlog_counts_turns_and_waiting_contacts(journal: Journal) -> None:
    journal.record(event("A1", "5511"))
    journal.record(event("A2", "5511"))
    journal.record(event("B1", "5522"))
    assert journal.backlog() == 2
    journal.fix_turn("t1", journal.pending("5511"))
    journal.record(event("A3", "5511"))
    assert journal.backlog() == 3
    journal.record_answer("t1", ["oi"])
    assert journal.backlog() == 2


def test_media_is_in_use_until_the_last_turn_that_needs_it_is_final(journal: Journal) -> None:
    note = StoredMedia("ab" * 32, 10)
    for message_id, contact in (("A1", "5511"), ("B1", "5522")):
        journal.record(event(message_id, contact), note)
        journal.fix_turn(f"t-{contact}", journal.pending(contact))
    journal.finish_turn("t-5511", "silenced")
    assert journal.media_in_use() == {note.digest}
    journal.finish_turn("t-5522", "silenced")
    assert journal.media_in_use() == set()


def test_trimming_is_bounded_and_spares_what_is_not_final(tmp_path: Path) -> None:
    clock = [NOW]
    journal = Journal(tmp_path / "journal.db", now=lambda: clock[0])
    for n in range(7):
        journal.record(event(f"A{n}"))
        journal.fix_turn(f"t{n}", journal.pending("5511"))
        journal.record_answer(f"t{n}", ["oi"])
        if n < 5:
            journal.begin_part(f"t{n}", 1, maybe_repeated=False)
            journal.finish_part(f"t{n}", 1)
        else:
            journal.finish_turn(f"t{n}", "failed", "x")
        journal.record(event(f"S{n}"), set_aside="muted")
    journal.record(event("P1"))
    clock[0] = NOW + 100
    journal.record(event("S9"), set_aside="muted")
    assert journal.trim(NOW, limit=3) == 0
    assert journal.trim(NOW + 1, limit=3) == 6
    assert journal.trim(NOW + 1, limit=300) == 8
    assert journal.trim(NOW + 1) == 0
    assert journal.knows("P1")
    assert journal.knows("S9")
    assert not journal.knows("A0")
    assert not journal.knows("S0")
    assert journal.parts("t0") == ()
    journal.close()


def test_a_full_disk_changes_nothing_and_is_remembered_until_it_is_over(tmp_path: Path) -> None:
    changes: list[str] = []
    small = Journal(tmp_path / "journal.db", on_trouble=lambda: changes.append(small.trouble))
    pages = small._db.execute("PRAGMA page_count").fetchone()[0]
    small._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own SQLITE_FULL
    with pytest.raises(JournalUnavailable, match="full"):
        small.record(event(text="x" * 20_000))
    assert small.trouble
    assert not small.knows("A1")
    assert small.contacts_with_work() == []
    small._db.execute("PRAGMA max_page_count = 1000000")
    assert small.record(event(text="x" * 20_000))
    assert changes == ["database or disk is full", ""]
    small.close()


def test_a_journal_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(JournalFromNewerRelease, match="99"):
        Journal(path)


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is not a database at all, but long enough to look at" * 20)
    with pytest.raises(JournalUnavailable, match="not a database"):
        Journal(path)


def test_a_migration_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    monkeypatch.setattr("orbitbot.bot.journal.MIGRATIONS", ((*MIGRATIONS[0], "CREATE TABLE state (x)"),))
    with pytest.raises(JournalUnavailable, match="state already exists"):
        Journal(path)
    monkeypatch.undo()
    journal = Journal(path)
    assert journal.record(event())
    journal.close()


@pytest.mark.parametrize(
    "step",
    [
        lambda journal: journal.record(event("N1")),
        lambda journal: journal.fix_turn("n1", journal.pending("5599")),
        lambda journal: journal.record_answer("n0", ["a", "b"]),
        lambda journal: journal.begin_part("t1", 1, maybe_repeated=False),
        lambda journal: journal.finish_part("t1", 1),
    ],
    ids=["record", "fix", "answer", "begin", "finish"],
)
def test_a_step_that_breaks_off_leaves_no_trace(
    tmp_path: Path, journal: Journal, step: Callable[[Journal], object]
) -> None:
    answered(journal)
    journal.record(event("B1", "5599"))
    journal.record(event("C1", "5588"))
    journal.fix_turn("n0", journal.pending("5588"))
    before = list(journal._db.iterdump())
    holder = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    journal._db.execute("PRAGMA busy_timeout = 10")
    holder.execute("BEGIN IMMEDIATE")  # somebody else holds the file too long
    with pytest.raises(JournalUnavailable, match="locked"):
        step(journal)
    holder.execute("ROLLBACK")
    assert list(journal._db.iterdump()) == before
    step(journal)
    assert list(journal._db.iterdump()) != before
    holder.close()


# What could not be read, and what has to be fetched


def unread(message_id: str = "U1") -> InboundEvent:
    return InboundEvent(
        id=message_id, chat="5511", sender="5511", type="text", sent_at=NOW - 1, kind="undecryptable"
    )


def test_what_could_not_be_read_may_yet_come_readable(journal: Journal) -> None:
    assert journal.note_unread(unread())
    assert not journal.note_unread(unread())
    assert journal.record(event("U1", text="agora sim"))
    assert [each.text for each in journal.pending("5511")] == ["agora sim"]
    assert journal.give_up_unread(NOW + 1) == []
    assert not journal.note_unread(unread()), "it was journaled"


def test_what_was_never_readable_is_set_aside_and_reported_once(journal: Journal) -> None:
    journal.note_unread(unread())
    assert journal.give_up_unread(NOW) == [], "not yet"
    assert journal.give_up_unread(NOW + 1) == ["U1"]
    assert journal.give_up_unread(NOW + 1) == []
    (report,) = reports(journal)
    assert isinstance(report, SetAside)
    assert (report.message_id, report.from_, report.reason) == ("U1", "5511", "undecryptable")
    assert journal.pending("5511") == ()


def test_a_voice_note_to_fetch_is_awaited_until_it_is_settled(journal: Journal) -> None:
    wanted = RemoteMedia(source=b"\x00\xff", digest="ab" * 32, size=10)
    for message_id in ("V1", "V2"):
        journal.record(
            InboundEvent(
                id=message_id, chat="5511", sender="5511", type="voice", sent_at=NOW, remote_media=wanted
            )
        )
    found = journal.wanted_media()
    assert found == ("V1", "5511", NOW, wanted)
    journal.settle_media("V1", StoredMedia("ab" * 32, 10))
    journal.settle_media("V2", None)
    assert journal.wanted_media() is None
    first, second = journal.pending("5511")
    assert (first.media, first.awaits_media) == (StoredMedia("ab" * 32, 10), False)
    assert (second.media, second.awaits_media) == (None, False)
    assert journal.media_in_use() == {"ab" * 32}


def raw(journal: Journal, tmp_path: Path) -> bytes:
    """Every byte of the journal's files."""
    return b"".join(path.read_bytes() for path in sorted(tmp_path.glob("journal.db*")))


def test_a_contact_is_forgotten_to_the_last_byte_and_others_stay(journal: Journal, tmp_path: Path) -> None:
    journal.record(event(text="minha alergia"))
    journal.fix_turn("t1", journal.pending("5511"))
    journal.record_answer("t1", ["sem amendoim"])
    journal.begin_part("t1", 1, maybe_repeated=False)
    journal.finish_part("t1", 1)
    journal.record(event("A2", text="em grupo"), set_aside="muted")
    journal.note_unread(event("A3"))
    journal.record(event("B1", contact="5522", text="fico aqui"))
    assert b"minha alergia" in raw(journal, tmp_path)
    assert journal.forget("5511")
    left = raw(journal, tmp_path)
    assert not [text for text in (b"minha alergia", b"amendoim", b"em grupo", b"5511") if text in left]
    assert [each.text for each in journal.pending("5522")] == ["fico aqui"]
    assert [each.turn for each in reports(journal) if isinstance(each, Delivery)] == ["t1", "t1"]
    assert [each for each in reports(journal) if isinstance(each, SetAside)] == []
    (forgotten,) = journal.forgotten_since(NOW)
    assert forgotten.digest == hashlib.sha256(f"{forgotten.salt}5511".encode()).hexdigest()
    assert journal.forgotten_since(NOW + 1) == []


def test_what_is_under_way_is_forgotten_when_it_is_final(journal: Journal) -> None:
    turn = answered(journal)
    assert not journal.forget("5511")
    assert journal.to_forget() == ["5511"]
    assert journal.forgotten_since(0) == []
    assert len(journal.parts(turn)) == 1, "the answer is still delivered"
    journal.finish_turn(turn, "failed", "x")
    assert journal.forget("5511")
    assert journal.to_forget() == []
    assert len(journal.forgotten_since(0)) == 1
