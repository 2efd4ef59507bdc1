"""Voice notes on their way through the bot."""

import hashlib
import os
from pathlib import Path

import pytest

from orbitbot.bot.channels.channel import UnusableEvent
from orbitbot.bot.media import MAX_MEDIA_SIZE, MediaStore


@pytest.fixture
def store(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path / "media")


def test_a_note_is_kept_by_its_content(tmp_path: Path, store: MediaStore) -> None:
    note = os.urandom(200_000)
    source = tmp_path / "a.ogg"
    source.write_bytes(note)
    kept = store.keep(source)
    assert kept is not None
    assert (kept.digest, kept.size) == (hashlib.sha256(note).hexdigest(), len(note))
    assert b"".join(store.chunks(kept)) == note
    assert store.keep(source) == kept
    assert source.exists(), "the channel removes it, when it is journaled"
    assert [path.name for path in (tmp_path / "media").iterdir()] == [kept.digest]


@pytest.mark.parametrize("size", [0, MAX_MEDIA_SIZE + 1])
def test_an_empty_or_too_large_one_is_not_kept(tmp_path: Path, store: MediaStore, size: int) -> None:
    source = tmp_path / "a.ogg"
    source.touch()
    os.truncate(source, size)
    assert store.keep(source) is None
    assert list((tmp_path / "media").iterdir()) == []


def test_the_largest_allowed_one_is_kept(tmp_path: Path, store: MediaStore) -> None:
    source = tmp_path / "a.ogg"
    source.touch()
    os.truncate(source, MAX_MEDIA_SIZE)
    assert store.keep(source) is not None


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, store: MediaStore) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("missing", "pipe", "link", "media"):
        with pytest.raises(UnusableEvent):
            store.keep(tmp_path / name)


def test_what_nobody_uses_is_swept_away(tmp_path: Path, store: MediaStore) -> None:
    kept = []
    for n in range(3):
        source = tmp_path / f"{n}.ogg"
        source.write_bytes(b"note %d" % n)
        note = store.keep(source)
        assert note is not None
        kept.append(note.digest)
    (tmp_path / "media/.123.tmp").touch()
    assert store.sweep({kept[1]}) == 3
    assert [path.name for path in (tmp_path / "media").iterdir()] == [kept[1]]
