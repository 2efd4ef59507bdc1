"""Whether a release on a host is, file by file, what was built on the controller."""

import hashlib
import io
import json
import shlex
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from tests.hosts.fleet import Fleet

CACHE: Final = Path.home() / ".cache/orbitbot/releases"
# What an installer and Python write beside the wheels' own files.
_WRITTEN_BY_INSTALLER: Final = frozenset({"INSTALLER", "RECORD", "REQUESTED", "uv_cache.json"})
_OF_THE_ENVIRONMENT: Final = frozenset({"_virtualenv.py", "_virtualenv.pth"})
# Prints {path below site-packages: SHA-256} of a release's virtual environment for bots.
_HASH: Final = """
import hashlib, json, os, sys
(place,) = [os.path.join(sys.argv[1], each, "site-packages") for each in os.listdir(sys.argv[1])]
found = {}
for folder, _, names in os.walk(place):
    for name in names:
        path = os.path.join(folder, name)
        if "__pycache__" not in path:
            with open(path, "rb") as file:
                found[os.path.relpath(path, place)] = hashlib.file_digest(file, "sha256").hexdigest()
print(json.dumps(found))
"""


def on_host(fleet: Fleet, host: str) -> tuple[str, dict[str, str]]:
    """The release that the host's bots run, and its files: path → SHA-256."""
    version = fleet.ssh(host, "basename $(readlink /opt/orbitbot/current)").strip()
    printed = fleet.ssh(
        host, f"python3 -c {shlex.quote(_HASH)} /opt/orbitbot/current/venv/bot/lib", timeout=120
    )
    return version, json.loads(printed)


def as_built(version: str) -> dict[str, str]:
    """The files of all wheels in the archive for bots: path → SHA-256.

    Raises:
        FileNotFoundError: the archive is gone; the controller keeps the last ones only.
    """
    archive = next((CACHE / version).glob("bot-*.tar"), None)
    if archive is None:
        raise FileNotFoundError(f"{CACHE / version} holds no archive for bots any more: run site.yml again")
    found: dict[str, str] = {}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.name.endswith(".whl"):
                content = tar.extractfile(member)
                assert content is not None
                with zipfile.ZipFile(io.BytesIO(content.read())) as wheel:
                    found |= {
                        name: hashlib.sha256(wheel.read(name)).hexdigest()
                        for name in wheel.namelist()
                        if not name.endswith("/") and _is_installed_as_it_is(PurePosixPath(name))
                    }
    return found


def added_by_installer(paths: set[str]) -> set[str]:
    """Those of the paths that no wheel holds and that are there in every virtual environment."""
    return {
        each
        for each in paths
        if each in _OF_THE_ENVIRONMENT
        or (PurePosixPath(each).name in _WRITTEN_BY_INSTALLER and ".dist-info/" in each)
    }


def _is_installed_as_it_is(path: PurePosixPath) -> bool:
    return not path.parts[0].endswith(".data") and path.name not in _WRITTEN_BY_INSTALLER
