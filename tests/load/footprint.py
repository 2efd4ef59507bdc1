"""What processes take of the machine's memory: proportional set size, shared pages divided among sharers."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

MIB = 1024  # KiB
TICK = os.sysconf("SC_CLK_TCK")


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


def processes_by_user() -> dict[int, list[int]]:
    """Every user's living processes, by one look at the machine."""
    found: dict[int, list[int]] = {}
    for pid, owner, _ in _all():
        found.setdefault(owner, []).append(pid)
    return found


def processor_seconds(pids: Iterable[int]) -> float:
    """Processor time that the processes have taken so far; one that has ended counts nothing."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += int(fields[11]) + int(fields[12])  # utime, stime
    return ticks / TICK


def busy_seconds() -> float:
    """Processor time that everything on the machine has taken so far."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / TICK


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
