"""Limits of this machine's kernel that all hosts share, because they share the kernel."""

from pathlib import Path

# Each host's systemd and its daemons hold some thirty; a stock kernel lets root have 128 in all.
INOTIFY_INSTANCES = 8192
_INOTIFY_FILE = Path("/proc/sys/fs/inotify/max_user_instances")


def raise_limits(file: Path = _INOTIFY_FILE) -> bool:
    """Raise what is too low for several fleets; a higher limit stays. Returns whether anything was raised."""
    if int(file.read_text()) >= INOTIFY_INSTANCES:
        return False
    file.write_text(f"{INOTIFY_INSTANCES}\n")
    return True
