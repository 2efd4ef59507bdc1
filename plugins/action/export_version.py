"""Action `export_version`: the files of one commit of a checkout, in a folder of their own.

Arguments:
    project: the checkout's directory, a git repository.
    version: a tag, branch or commit. Empty: the checkout as it is, with changes that are not committed.
    cache: directory that it is exported to; anything in it may be deleted.

Returns `project`, the directory to build from, and `commit`.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

COMMIT_FILE = ".commit"  # which the action `build_release` reads
KEPT = 5  # exports
SHOWN = 10  # tags in a complaint


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"project", "version", "cache"})
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Export what is not in the cache yet."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        project, version = Path(arguments["project"]), str(arguments.get("version") or "")
        if not version:
            return {"changed": False, "project": str(project), "commit": ""}
        commit = resolve(project, version)
        folder = Path(arguments["cache"]).expanduser() / "checkouts" / commit
        if not folder.exists():
            export(project, commit, folder)
        folder.touch()  # it was used
        for path in sorted(folder.parent.iterdir(), key=lambda each: each.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(path)
        return {"changed": False, "project": str(folder), "commit": commit}


def resolve(project: Path, version: str) -> str:
    """The commit that a tag, branch or abbreviated commit means.

    Raises:
        AnsibleActionFail: it means none, or the project is no git repository.
    """
    done = _git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{version}^{{commit}}")
    if done.returncode == 0:
        return done.stdout.decode().strip()
    tags = _git(project, "tag", "--sort=-creatordate")
    if tags.returncode != 0:
        raise AnsibleActionFail(
            f"version: {project} is no git repository, so nothing but the checkout itself is there"
        )
    names = ", ".join(tags.stdout.decode().split()[:SHOWN]) or "none"
    raise AnsibleActionFail(
        f"version: {version!r} is no tag, branch or commit of {project}; its latest tags: {names}."
        " A release that was deployed before is brought back by playbooks/rollback.yml"
    )


def export(project: Path, commit: str, folder: Path) -> None:
    """Put a commit's files into `folder`, which then is complete."""
    packed = _git(project, "archive", "--format=tar", commit)
    if packed.returncode != 0:
        raise AnsibleActionFail(f"git archive of {commit} failed: {packed.stderr.decode().strip()}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        draft = Path(place) / "files"
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(draft, filter="data")
        (draft / COMMIT_FILE).write_text(f"{commit}\n", "utf-8")
        draft.replace(folder)


def _git(project: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(project), *words]
    return subprocess.run(command, capture_output=True, check=False)  # noqa: S603  (no shell)
