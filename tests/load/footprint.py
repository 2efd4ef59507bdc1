"""What processes take of the machine's memory: proportional set size, shared pages divided among sharers."""

import re
from collections.abc import Iterable
from pathlib import Path

MIB = 1024  # KiB


def proportional(pids: Iterable[int]) -> float:
    """The sum of the processes' proportional set sizes, MiB."""
    return sum(_rollup(pid).get("Pss", 0) for pid in pids) / MIB


def parts(pid: int) -> dict[str, float]:
    """Proportional set size of one process by what it is, MiB."""
    return {name: size / MIB for name, size in _rollup(pid).items() if name.startswith("Pss")}


def _rollup(pid: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def processes_of(user: int) -> list[int]:
    """Every living process of a user."""
    return [pid for pid, owner, _ in _all() if owner == user]


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {each: parent for each, _, parent in _all()}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _all() -> list[tuple[int, int, int]]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if not fields["State"].startswith("Z"):
            found.append((int(folder.name), int(fields["Uid"].split()[0]), int(fields["PPid"])))
    return found
