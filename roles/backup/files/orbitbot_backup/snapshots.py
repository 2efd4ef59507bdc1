"""Consistent copies of bots' state: SQLite files by SQLite's own backup, without touching the live session.

Each copy is made as the bot's own user: what the bot can reach, and no more, gets into it. Sessions are
copied before journals: what a session has already taken from WhatsApp is then surely in the journal.
"""

import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orbitbot_backup import programs
from orbitbot_backup.errors import BackupError

MAGIC: Final = b"SQLite format 3\0"
JOURNAL: Final = "journal.db"
_BESIDE: Final = ("-wal", "-shm", "-journal")  # belong to a SQLite file and are in its copy already
_LEFT_OUT: Final = ("lock",)
_TIMEOUT: Final = 600.0  # seconds for one bot


def snapshot_all(bots: Path, target: Path, program: Path) -> list[str]:
    """A copy of every bot's state below `target`, which is made anew; the bots' names.

    Args:
        bots: has one directory for each bot, which belongs to the bot's user.
        program: the command line's own, which makes one copy as another user.

    Raises:
        BackupError: a copy could not be made; names the bots.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    target.chmod(0o711)  # each bot's user passes through
    done, failed = [], []
    for source in sorted(each for each in bots.iterdir() if each.is_dir()) if bots.is_dir() else []:
        info = source.lstat()
        place = target / source.name
        place.mkdir(mode=0o700)
        os.chown(place, info.st_uid, info.st_gid)
        try:
            programs.run(
                ["setpriv", f"--reuid={info.st_uid}", f"--regid={info.st_gid}", "--clear-groups",
                 sys.executable, str(program), "snapshot", str(source), str(place)],
                timeout=_TIMEOUT,
            )  # fmt: skip
        except BackupError as error:
            failed.append(f"{source.name}: {error}")
        else:
            done.append(source.name)
    if failed:
        raise BackupError(f"no copy of {'; '.join(failed)}")
    return done


def snapshot(source: Path, target: Path) -> None:
    """Copy one bot's state, as its user.

    Raises:
        BackupError: a SQLite file is damaged; names it.
    """
    for path in sorted(_files(source), key=lambda each: (each.name == JOURNAL, each)):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_sqlite(path):
            copy_sqlite(path, copy)
        else:
            try:
                shutil.copy2(path, copy)
            except FileNotFoundError:
                continue  # a voice note that is not needed any more


def copy_sqlite(path: Path, copy: Path) -> None:
    """One consistent copy of a SQLite file that may be written to at this moment.

    Raises:
        BackupError: the copy is not whole.
    """
    live = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        made = sqlite3.connect(copy)
        try:
            live.backup(made)  # all pages in one read transaction, which holds up no writer in WAL mode
            made.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
            ((said,),) = made.execute("PRAGMA integrity_check(1)").fetchall()
        finally:
            made.close()
    except sqlite3.Error as error:
        raise BackupError(f"{path}: {error}") from error
    finally:
        live.close()
    if said != "ok":
        raise BackupError(f"{path}: {said}")


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        beside = any(
            path.name.endswith(end) and path.with_name(path.name.removesuffix(end)).exists()
            for end in _BESIDE
        )
        if stat.S_ISREG(mode) and not beside and path.name not in _LEFT_OUT:
            yield path


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError:
        return False
