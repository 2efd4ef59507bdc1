"""Action `check_collections`: the collections of requirements.yml are there, in its versions.

It changes nothing. Ansible itself complains when it comes to the first task that needs a missing one, with
hosts half done, and not at all about another version.

Arguments:
    requirements: the file, as `ansible-galaxy` reads it; each version is exact.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.collection_loader import AnsibleCollectionConfig


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"requirements"})
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one line for each collection that is missing or another version."""
        super().run(tmp, task_vars)
        wanted = yaml.safe_load(Path(self._task.args["requirements"]).read_text("utf-8"))["collections"]
        paths = AnsibleCollectionConfig.collection_paths
        if found := list(complaints(wanted, lambda name: folder_of(name, paths))):
            raise AnsibleActionFail("\n".join(["", *found]))
        return {"changed": False}


def folder_of(collection: str, paths: Iterable[str]) -> Path | None:
    """The first folder that has a collection; None where none has it.

    Args:
        paths: where Ansible looks, in its order.
    """
    folders = (Path(path, "ansible_collections", *collection.split(".")) for path in paths)
    return next((folder for folder in folders if folder.is_dir()), None)


def version_of(folder: Path) -> str:
    """The version of the collection in a folder; `unknown` where it does not say."""
    manifest = folder / "MANIFEST.json"
    if not manifest.exists():
        return "unknown"
    return str(json.loads(manifest.read_text("utf-8"))["collection_info"]["version"])


def complaints(
    wanted: Iterable[Mapping[str, str]], find: Callable[[str], Path | None], environment: str = sys.prefix
) -> Iterator[str]:
    """What is wrong, and what to run.

    Args:
        wanted: the entries of requirements.yml.
        find: tells the folder that a collection is taken from.
        environment: the directory of the virtual environment that `make setup` makes.
    """
    for each in wanted:
        name, version, folder = each["name"], each["version"], find(each["name"])
        if folder is None:
            yield f"collection {name} {version} is missing. Run: make setup"
        elif (found := version_of(folder)) != version:
            remedy = "make setup" if folder.is_relative_to(environment) else f"rm -r {folder}; make setup"
            yield f"collection {name} is {found}, in {folder}; needed: {version}. Run: {remedy}"
