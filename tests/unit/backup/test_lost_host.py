"""A journal from a backup asks what came of its turns; what restore.yml says of bots that came back."""

from pathlib import Path

import pytest
from orbitbot_backup.errors import BackupError
from orbitbot_backup.lost_host import ask_again

from orbitbot.bot.journal import Journal
from orbitbot.bot.models import InboundEvent
from tests.ansible.conftest import load_plugin


def answered(journal: Journal, contact: str, *, sent: int) -> None:
    """A turn whose answer has two parts, of which `sent` have left."""
    journal.record(
        InboundEvent(id=f"m-{contact}", chat=contact, sender=contact, type="text", text="oi", sent_at=1)
    )
    journal.fix_turn(contact, journal.pending(contact))
    journal.record_answer(contact, ["uma parte", "outra parte"])
    for position in range(1, sent + 1):
        journal.begin_part(contact, position, maybe_repeated=False)
        journal.finish_part(contact, position)


def test_what_was_under_way_is_asked_again_and_what_was_finished_stays(tmp_path: Path) -> None:
    path = tmp_path / "padaria/journal.db"
    path.parent.mkdir()
    journal = Journal(path)
    for contact, sent in (("answered", 0), ("delivering", 1), ("delivered", 2)):
        answered(journal, contact, sent=sent)
    journal.close()

    ask_again(path)

    journal = Journal(path)
    for contact in ("answered", "delivering"):
        turn = journal.turn_under_way(contact)
        assert turn is not None
        assert turn.state == "fixed"
        assert journal.parts(contact) == ()
        journal.record_answer(contact, ["uma parte", "outra parte"])  # as the ledger tells it again
    assert journal.turn_under_way("delivered") is None
    assert len(journal.parts("delivered")) == 2
    journal.close()


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "padaria/journal.db"
    path.parent.mkdir()
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(BackupError, match="padaria: "):
        ask_again(path)


def test_the_bots_that_came_back_are_told_with_what_was_in_flight() -> None:
    turns = [
        {"client_id": "padaria", "id": f"turn-{n}", "state": "answering", "received": "2026-11-30 03:12:00"}
        for n in range(25)
    ]
    lines = load_plugin("plugins/filter/restore.py").restored_lines(
        ["padaria", "tardia"], {"padaria": "connected"}, {"padaria": 1_764_471_600}, turns
    )
    assert lines[0] == "  padaria: connected, as it was at 2025-11-30 03:00 UTC, 25 in flight"
    assert lines[1] == "    turn-0: answering, received 2026-11-30 03:12:00 UTC"
    assert lines[-1] == "  tardia: unknown, with nothing from a backup, 0 in flight"
    assert len(lines) == 22
