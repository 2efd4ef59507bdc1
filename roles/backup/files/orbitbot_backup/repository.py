"""pgBackRest's repository: what is in it, and whether all that a restore needs is there and whole."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from orbitbot_backup import programs
from orbitbot_backup.errors import BackupError
from orbitbot_backup.postgresql import SUPERUSER

_SEGMENT: Final = re.compile(r"^[0-9A-F]{24}-[0-9a-f]{40}(?:\.\w+)?$")
_HISTORY: Final = re.compile(r"^[0-9A-F]{8}\.history$")
_PER_LOG: Final = 256  # segments of 16 MiB in one log file of 4 GiB


@dataclass(frozen=True)
class Backup:
    """One backup. Times are Unix seconds.

    Attributes:
        first, last: the WAL segments that it needs at least.
        size: bytes of the database.
    """

    label: str
    kind: str
    started_at: float
    stopped_at: float
    first: str
    last: str
    size: int
    repository_size: int


def pgbackrest(stanza: str, *arguments: str, timeout: float = programs.DAY) -> str:
    """Run pgBackRest as `postgres`."""
    words = ["pgbackrest", f"--stanza={stanza}", "--log-level-console=warn", *arguments]
    return programs.run(words, user=SUPERUSER, timeout=timeout)


def backups(stanza: str, *options: str) -> list[Backup]:
    """The backups, the oldest first."""
    told: list[dict[str, Any]] = json.loads(pgbackrest(stanza, *options, "info", "--output=json"))
    return [
        Backup(
            label=each["label"],
            kind=each["type"],
            started_at=each["timestamp"]["start"],
            stopped_at=each["timestamp"]["stop"],
            first=each["archive"]["start"],
            last=each["archive"]["stop"],
            size=each["info"]["size"],
            repository_size=each["info"]["repository"]["size"],
        )
        for stanza_told in told
        for each in stanza_told.get("backup", [])
    ]


def last_archived(stanza: str) -> str:
    """The last WAL segment of the archive; empty when there is none."""
    told: list[dict[str, Any]] = json.loads(pgbackrest(stanza, "info", "--output=json"))
    return max((each["max"] or "" for one in told for each in one.get("archive", [])), default="")


def verify(stanza: str) -> str:
    """Read everything in the repository, and see that no WAL segment is missing; what was found, in words.

    Raises:
        BackupError: something is damaged or missing; names it.
    """
    complaints = []
    text = pgbackrest_verify(stanza)
    complaints += damaged(text)
    segments, _ = archived(stanza)
    known = backups(stanza)
    complaints += missing_segments(segments, known)
    if complaints:
        raise BackupError("; ".join(complaints))
    return f"{len(known)} backups and {len(segments)} WAL segments read, none missing"


def pgbackrest_verify(stanza: str) -> str:
    """pgBackRest's own verification, in full; its status is 0 whatever it finds."""
    words = ["pgbackrest", f"--stanza={stanza}", "--log-level-console=info", "verify"]
    return programs.run(words, user=SUPERUSER)


def damaged(text: str) -> list[str]:
    """What pgBackRest's verification complains of."""
    found = []
    for line in text.splitlines():
        said = re.sub(r"^.*?(?:INFO|WARN|ERROR):\s*", "", line).strip()
        bad = re.search(r"(?:checksum invalid|size invalid|missing|other): ([1-9]\d*)", said)
        if (
            bad
            or re.search(r"\b(WARN|ERROR):", line)
            or "invalid checksum" in said
            or "status: invalid" in said
        ):
            found.append(said)
    return list(dict.fromkeys(found))


def archived(stanza: str) -> tuple[list[str], list[str]]:
    """The names of the archived segments and of the history files, sorted."""
    listed: dict[str, Any] = json.loads(
        pgbackrest(stanza, "repo-ls", "--recurse", "--output=json", f"archive/{stanza}")
    )
    names = [path.rpartition("/")[2] for path in listed]
    return (
        sorted({name[:24] for name in names if _SEGMENT.match(name)}),
        sorted(name for name in names if _HISTORY.match(name)),
    )


def number(segment: str) -> int:
    """Where a segment stands among those of its timeline."""
    return int(segment[8:16], 16) * _PER_LOG + int(segment[16:24], 16)


def name(timeline: int, position: int) -> str:
    """The segment at a position."""
    return f"{timeline:08X}{position // _PER_LOG:08X}{position % _PER_LOG:08X}"


def missing_segments(segments: list[str], known: list[Backup]) -> list[str]:
    """The gaps in the archive from the oldest backup on, one sentence each.

    pgBackRest checks what is there, not what should be: without a segment, recovery stops before it.
    """
    if not known:
        return []
    start = min(number(each.first) for each in known)
    oldest = min(int(each.first[:8], 16) for each in known)
    by_line: dict[int, list[int]] = {}
    for each in segments:
        line = int(each[:8], 16)
        if line >= oldest and number(each) >= start:
            by_line.setdefault(line, []).append(number(each))
    gaps = []
    for line, positions in by_line.items():
        present = set(positions)
        absent = [each for each in range(min(present), max(present) + 1) if each not in present]
        needed = {
            each
            for backup in known
            if int(backup.first[:8], 16) == line
            for each in range(number(backup.first), number(backup.last) + 1)
        }
        absent = sorted({*absent, *(needed - present)})
        if absent:
            words = f"{name(line, absent[0])}" + (f" to {name(line, absent[-1])}" if len(absent) > 1 else "")
            gaps.append(
                f"missing WAL: {words}; no restore from an earlier backup to a later moment is possible"
            )
    gaps += [
        f"missing WAL: {backup.first} to {backup.last}, which backup {backup.label} needs"
        for backup in known
        if int(backup.first[:8], 16) not in by_line
    ]
    return gaps
