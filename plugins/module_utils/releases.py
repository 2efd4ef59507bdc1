"""The releases on a host: which are complete, which one is current, which are in use, which may go.

`current` is a link. `activated` lists, one a line, the releases that were made current, in their order on the
way to the latest one: a way back makes an earlier line the current one, and the next deploy forgets those
that stood after it.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

PROGRAMS = Path("/etc/supervisor/conf.d")


class Releases:
    """The releases below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def current(self) -> str:
        """The current release; empty where there is none."""
        link = self.root / "current"
        return link.readlink().name if link.is_symlink() else ""

    @property
    def activated(self) -> list[str]:
        """The releases that were made current, the oldest first, as far as they are still there."""
        path = self.root / "activated"
        names = path.read_text("utf-8").split() if path.exists() else []
        if self.current and self.current not in names:
            names.append(self.current)
        return [name for name in names if self._folder(name).is_dir()]

    @property
    def previous(self) -> str:
        """The release before the current one; empty at the oldest."""
        names = self.activated
        place = names.index(self.current) if self.current in names else 0
        return names[place - 1] if place else ""

    def complete(self) -> dict[str, dict[str, Any]]:
        """Release → what is known of it: `kinds`, `commit`, `migrations`, `bot_code`, `services`."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted((self.root / "releases").glob("*/venv/*/MANIFEST.json")):
            manifest = json.loads(path.read_text("utf-8"))
            release = path.parents[2]
            known = found.setdefault(
                release.name,
                {
                    "services": sorted(each.stem for each in (release / "services").glob("*.json")),
                    "kinds": [],
                },
            )
            known["kinds"].append(path.parent.name)
            known |= {name: manifest.get(name) for name in ("commit", "migrations", "bot_code")}
        return found

    def in_use(self) -> set[str]:
        """The releases that a program is to run, or that a process runs."""
        pattern = re.compile(rf"{re.escape(str(self.root))}/releases/([^/\s\0]+)")
        texts = [path.read_text("utf-8", "replace") for path in PROGRAMS.glob("*.conf")]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                texts.append(path.read_text("utf-8", "replace"))
            except OSError:
                continue  # it has ended meanwhile
        return {name for text in texts for name in pattern.findall(text)} | {self.current}

    def make_current(self, release: str, *, forward: bool) -> None:
        """Point `current` at a release.

        Args:
            forward: a new one on the way, after which nothing comes; else a way back or a return to it.
        """
        names = self.activated
        if forward and release != self.current:
            names = names[: names.index(self.current) + 1] if self.current in names else names
            names = [*(name for name in names if name != release), release]
        draft = self.root / ".activated.new"
        draft.write_text("".join(f"{name}\n" for name in names), "utf-8")
        draft.replace(self.root / "activated")
        link = self.root / ".current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{release}")
        link.replace(self.root / "current")

    def outdated(self, keep: int) -> list[str]:
        """The releases that may go: all but the current one, those in use and the latest, `keep` in all."""
        used = self.in_use()
        latest = self.activated[::-1]
        folders = [path for path in (self.root / "releases").glob("*") if path.is_dir()]
        others = sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)
        order = [*latest, *(path.name for path in others if path.name not in latest)]
        order.sort(key=lambda name: name not in used)  # stable: those in use first
        return [name for name in order[keep:] if name not in used]

    def remove(self, release: str) -> None:
        """Delete a release."""
        shutil.rmtree(self._folder(release))

    def _folder(self, release: str) -> Path:
        return self.root / "releases" / release
