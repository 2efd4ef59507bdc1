"""`check_collections`: a collection that is missing or another version is said first, with what to run."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.ansible.conftest import REPOSITORY, load_plugin
from tests.ansible.running import playbook

check = load_plugin("plugins/action/check_collections.py")


def collection(folder: Path, version: str) -> Path:
    """A collection of a version."""
    folder.mkdir(parents=True)
    (folder / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": version}}))
    return folder


def test_the_bundle_has_what_is_required() -> None:
    wanted = yaml.safe_load((REPOSITORY / "requirements.yml").read_text())["collections"]
    assert wanted
    assert list(check.complaints(wanted, lambda name: check.folder_of(name, sys.path))) == []


def test_missing_and_other_versions_are_named_with_what_to_run(tmp_path: Path) -> None:
    wanted = [
        {"name": f"a.{name}", "version": "2.0.0"} for name in ("gone", "old", "foreign", "right", "odd")
    ]
    folders = {
        "a.old": collection(tmp_path / "venv/old", "1.9.0"),
        "a.foreign": collection(tmp_path / "home/foreign", "3.0.0"),
        "a.right": collection(tmp_path / "home/right", "2.0.0"),
        "a.odd": tmp_path / "venv/odd",
    }
    assert list(check.complaints(wanted, folders.get, str(tmp_path / "venv"))) == [
        "collection a.gone 2.0.0 is missing. Run: make setup",
        f"collection a.old is 1.9.0, in {tmp_path}/venv/old; needed: 2.0.0. Run: make setup",
        f"collection a.foreign is 3.0.0, in {tmp_path}/home/foreign; needed: 2.0.0. "
        f"Run: rm -r {tmp_path}/home/foreign; make setup",
        f"collection a.odd is unknown, in {tmp_path}/venv/odd; needed: 2.0.0. Run: make setup",
    ]


def test_a_collection_that_is_not_there_is_not_found() -> None:
    assert check.folder_of("community.no_such_collection", sys.path) is None


@pytest.mark.parametrize("name", ["site", "down"])
def test_a_playbook_says_it_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = collection(tmp_path / "ansible_collections/community/crypto", "1.0.0")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    done = playbook(name)
    assert done.status != 0
    assert "ok=0" in done.output
    said = " ".join(done.output.split())
    assert f"collection community.crypto is 1.0.0, in {folder}; needed: " in said
    assert f"Run: rm -r {folder}; make setup" in said
