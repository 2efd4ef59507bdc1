"""What is missing or damaged in a repository is found, and named."""

import pytest
from orbitbot_backup.repository import Backup, damaged, missing_segments, name, number

OK = """
INFO: verify command begin 2.45: --stanza=orbitbot
stanza: orbitbot
status: ok
  archiveId: 15-1, total WAL checked: 5, total valid WAL: 5
  backup: 20261130-185206F, status: valid, total files checked: 1302, total valid files: 1302
INFO: verify command end: completed successfully (1200ms)
"""
BAD = """
INFO: invalid checksum '20261130-185206F/pg_data/base/5/1255.zst'
stanza: orbitbot
status: error
  backup: 20261130-185206F, status: invalid, total files checked: 1302, total valid files: 1301
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
"""


def backup(first: str, last: str, label: str = "F") -> Backup:
    return Backup(label, "full", 0, 0, first, last, 0, 0)


def segments(timeline: int, first: int, last: int) -> list[str]:
    return [name(timeline, position) for position in range(first, last + 1)]


def test_a_segments_name_and_its_place() -> None:
    assert name(1, 255) == "0000000100000000000000FF"
    assert name(1, 256) == "000000010000000100000000"
    assert all(number(name(3, position)) == position for position in (0, 255, 256, 70_000))


def test_an_archive_without_gaps() -> None:
    assert missing_segments(segments(1, 250, 270), [backup(name(1, 251), name(1, 252))]) == []


def test_a_gap_is_named() -> None:
    there = [each for each in segments(1, 250, 270) if each not in (name(1, 256), name(1, 257))]
    (said,) = missing_segments(there, [backup(name(1, 251), name(1, 252))])
    assert "missing WAL: 000000010000000100000000 to 000000010000000100000001" in said


def test_a_gap_before_the_oldest_backup_does_not_matter() -> None:
    there = [*segments(1, 1, 3), *segments(1, 10, 20)]
    assert missing_segments(there, [backup(name(1, 10), name(1, 11))]) == []


def test_a_backup_without_its_own_segment() -> None:
    (said,) = missing_segments(segments(1, 10, 12), [backup(name(1, 10), name(1, 13))])
    assert name(1, 13) in said


def test_a_backup_of_a_timeline_that_has_nothing() -> None:
    (said,) = missing_segments(segments(1, 1, 2), [backup(name(2, 5), name(2, 6), "20261130F")])
    assert "which backup 20261130F needs" in said


def test_a_new_timeline_goes_on_where_the_old_one_was_left() -> None:
    there = [*segments(1, 1, 8), *segments(2, 6, 12)]
    assert missing_segments(there, [backup(name(1, 2), name(1, 2)), backup(name(2, 8), name(2, 9))]) == []


def test_without_a_backup_nothing_is_missing() -> None:
    assert missing_segments(segments(1, 1, 3), []) == []


def test_pgbackrests_own_words() -> None:
    assert damaged(OK) == []
    assert any("1255.zst" in said for said in damaged(BAD))
    assert any("checksum invalid: 1" in said for said in damaged(BAD))


@pytest.mark.parametrize("line", ["WARN: no backups exist in the repo", "ERROR: [028]: stanza missing"])
def test_a_warning_is_a_complaint(line: str) -> None:
    assert damaged(f"{OK}{line}\n") != []
