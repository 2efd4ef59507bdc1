"""restic: this host's encrypted repository of files and dumps."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orbitbot_backup import programs
from orbitbot_backup.errors import BackupError
from orbitbot_backup.settings import Restic


class Repository:
    """One restic repository."""

    def __init__(self, settings: Restic, state: Path) -> None:
        self._settings = settings
        self._cache = state / "restic-cache"

    def ensure(self) -> None:
        """Make the repository, unless it is there."""
        try:
            self._run("cat", "config")
        except BackupError as error:
            if "Is there a repository at the following location" not in str(error):
                raise
            self._run("init")
        self._run("unlock")  # what a killed run left; a lock that is in use stays

    def backup(self, paths: Sequence[Path], tag: str) -> tuple[str, int]:
        """Keep `paths`; the snapshot's id, and its size in bytes."""
        out = self._run("backup", "--json", "--tag", tag, *map(str, paths))
        (summary,) = [each for each in _lines(out) if each.get("message_type") == "summary"]
        return summary["snapshot_id"], int(summary["total_bytes_processed"])

    def forget(self, tag: str) -> None:
        """Let go of what the policy does not keep."""
        keep = self._settings
        self._run(
            "forget", "--prune", "--group-by", "host,tags", "--tag", tag,
            f"--keep-daily={keep.keep_daily}", f"--keep-weekly={keep.keep_weekly}",
            f"--keep-monthly={keep.keep_monthly}", "--keep-last=2",
        )  # fmt: skip

    def check(self) -> None:
        """Read the repository's structure, and as much of its data as the settings say.

        Raises:
            BackupError: something in it is damaged; names what.
        """
        self._run("check", f"--read-data-subset={self._settings.read_percent}%")

    def snapshots(self, tag: str) -> list[dict[str, Any]]:
        """The snapshots with this tag, the oldest first."""
        found: list[dict[str, Any]] = json.loads(self._run("snapshots", "--json", "--tag", tag) or "[]")
        return sorted(found or [], key=lambda each: str(each["time"]))

    def restore(self, snapshot: str, target: Path, include: str = "") -> None:
        """Write a snapshot's files below `target`, with their owners."""
        chosen = ["--include", include] if include else []
        self._run("restore", snapshot, "--target", str(target), "--verify", *chosen)

    def _run(self, *arguments: str) -> str:
        settings = self._settings
        options = ["-o", f"sftp.command={settings.sftp_command}"] if settings.sftp_command else []
        options += [f"--cacert={settings.ca_file}"] if settings.ca_file else []
        return programs.run(
            ["restic", *options, "--quiet", *arguments] if "--json" not in arguments
            else ["restic", *options, *arguments],
            environment={
                "RESTIC_REPOSITORY": settings.repository,
                "RESTIC_PASSWORD_FILE": settings.password_file,
                "RESTIC_CACHE_DIR": str(self._cache),
                **_variables(settings.environment_file),
            },
        )  # fmt: skip


def _lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def _variables(path: str) -> dict[str, str]:
    if not path:
        return {}
    pairs = (line.partition("=") for line in Path(path).read_text("utf-8").splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}
