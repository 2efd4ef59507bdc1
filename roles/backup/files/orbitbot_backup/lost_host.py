"""The bots of a host that is lost: unpacked on the host of the repositories, one archive for each bot.

A session is restored only where its host is gone: over a live one, Signal's keys would go back in time.
"""

import shutil
import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from orbitbot_backup import programs
from orbitbot_backup.errors import BackupError
from orbitbot_backup.restic import Repository
from orbitbot_backup.settings import Restic, Settings
from orbitbot_backup.snapshots import JOURNAL

SESSIONS: Final = ("session.db*",)  # what a phone is paired by


def unpack(settings: Settings, host: str, password: str, *, sessions: bool) -> dict[str, Any]:
    """The newest copy of the bots' state of `host`.

    Args:
        password: of that host's repository.
        sessions: whether the archives hold the sessions with WhatsApp, too.

    Returns:
        `clients` (client → its archive), `at` (Unix time of the copy).

    Raises:
        BackupError: there is none; without `sessions` that is no failure, and no client is returned.
    """
    try:
        return _unpack(settings, host, password, sessions=sessions)
    except BackupError as error:
        if sessions:
            raise BackupError(f"{error}; -e session=pair brings the clients back without it") from error
        return {"clients": {}, "at": 0.0}


def _unpack(settings: Settings, host: str, password: str, *, sessions: bool) -> dict[str, Any]:
    state = Path(settings.state)
    place = state / "lost" / host
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700, parents=True)
    key = place / "password"
    key.write_text(password.strip() + "\n", "utf-8")
    try:
        restic = Repository(
            replace(settings.restic, repository=repository_of(settings, host), password_file=str(key)), state
        )
        known = [
            each
            for each in restic.snapshots("files")
            if any(str(path).endswith("/bots") for path in each["paths"])
        ]
        if not known:
            raise BackupError(f"host: the repository of {host} has no bots")
        newest = known[-1]
        (bots,) = [str(path) for path in newest["paths"] if str(path).endswith("/bots")]
        restic.restore(newest["id"], place / "restored", include=bots)
    finally:
        key.unlink()
    folder = place / "restored" / bots.lstrip("/")
    excluded = [] if sessions else [f"--exclude={pattern}" for pattern in SESSIONS]
    archives = {}
    for bot in sorted(folder.iterdir()):
        if (bot / JOURNAL).exists():
            ask_again(bot / JOURNAL)
        archive = place / f"{bot.name}.tar.gz"
        programs.run(["tar", "--create", "--gzip", f"--file={archive}", f"--directory={bot}", *excluded, "."])
        archives[bot.name] = str(archive)
    shutil.rmtree(place / "restored")
    return {
        "clients": archives,
        "at": datetime.fromisoformat(str(newest["time"])[:19] + "+00:00").timestamp(),
    }


def ask_again(journal: Path) -> None:
    """Have the bot ask the gateway again about every turn that was under way when the copy was made.

    Its answer was sent long ago, unless the host was lost at that very moment; the ledger knows which.
    """
    connection = sqlite3.connect(journal)
    try:
        with connection:
            connection.execute(
                "DELETE FROM parts WHERE turn_id IN (SELECT id FROM turns WHERE finished_at IS NULL)"
            )
            connection.execute(
                "UPDATE turns SET state = 'fixed', maybe_repeated = 1 "
                "WHERE finished_at IS NULL AND state IN ('answered', 'delivering')"
            )
    except sqlite3.Error as error:
        raise BackupError(f"{journal.parent.name}: {error}") from error
    finally:
        connection.close()


def repository_of(settings: Settings, host: str) -> str:
    """The repository of another host, which lies beside this one's own."""
    return beside(settings.restic, settings.host, host)


def beside(restic: Restic, own: str, host: str) -> str:
    """See `repository_of`.

    Raises:
        BackupError: this host does not hold the repositories.
    """
    for end in (f"/{own}/repository", f"/{own}"):
        if restic.repository.endswith(end) and not restic.sftp_command:
            return restic.repository.removesuffix(end) + end.replace(own, host)
    raise BackupError(f"{own} does not hold the repositories of others")
