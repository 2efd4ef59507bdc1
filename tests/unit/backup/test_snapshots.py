"""Copies of a bot's state are consistent while it writes, and leave the live files as they are."""

import sqlite3
import threading
from pathlib import Path

import pytest
from orbitbot_backup.errors import BackupError
from orbitbot_backup.snapshots import snapshot


@pytest.fixture
def bot(tmp_path: Path) -> Path:
    folder = tmp_path / "padaria"
    (folder / "media").mkdir(parents=True)
    (folder / "media/note.ogg").write_bytes(b"OggS")
    (folder / "credential.json").write_text("{}")
    (folder / "lock").touch()
    with sqlite3.connect(folder / "journal.db") as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
    db.close()
    return folder


def test_a_copy_is_one_file_and_holds_what_is_only_in_the_wal(bot: Path, tmp_path: Path) -> None:
    live = sqlite3.connect(bot / "journal.db")
    live.execute("INSERT INTO pairs VALUES (1, 1)")
    live.commit()
    assert (bot / "journal.db-wal").stat().st_size > 0
    target = tmp_path / "copy"
    target.mkdir()
    snapshot(bot, target)
    live.close()
    assert sorted(str(each.relative_to(target)) for each in target.rglob("*") if each.is_file()) == [
        "credential.json",
        "journal.db",
        "media/note.ogg",
    ]
    copy = sqlite3.connect(target / "journal.db")
    assert copy.execute("SELECT * FROM pairs").fetchall() == [(1, 1)]
    copy.close()


def test_a_bot_that_writes_is_copied_between_two_of_its_transactions(bot: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    written = threading.Event()

    def write() -> None:
        live = sqlite3.connect(bot / "journal.db", isolation_level=None)
        number = 0
        while not stop.is_set():
            number += 1
            live.execute("BEGIN")
            live.execute("INSERT INTO pairs VALUES (?, 0)", (number,))
            live.execute("UPDATE pairs SET b = a WHERE a = ?", (number,))
            live.execute("COMMIT")
            written.set()
        live.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(30)
        for round_ in range(5):
            target = tmp_path / f"copy{round_}"
            target.mkdir()
            snapshot(bot, target)
            copy = sqlite3.connect(target / "journal.db")
            assert copy.execute("SELECT count(*) FROM pairs WHERE a <> b").fetchone() == (0,)
            assert copy.execute("SELECT count(*) > 0 FROM pairs").fetchone() == (1,)
            copy.close()
    finally:
        stop.set()
        writer.join()


def test_a_damaged_file_is_named(bot: Path, tmp_path: Path) -> None:
    (bot / "session.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    target = tmp_path / "copy"
    target.mkdir()
    with pytest.raises(BackupError, match=r"session\.db"):
        snapshot(bot, target)
