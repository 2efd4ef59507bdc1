"""Everything about this machine that a refused playbook must leave as it was."""

import hashlib
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.acceptance.deployment import Deployment

TREES: Final = (
    "/etc/orbitbot",
    "/etc/supervisor",
    "/etc/nginx",
    "/etc/postgresql",
    "/etc/redis",
)
RELEASES: Final = Path("/opt/orbitbot")
_ROWS: Final = """
    SELECT (SELECT jsonb_agg(clients ORDER BY id) FROM clients),
           (SELECT jsonb_agg(credentials ORDER BY id) FROM credentials),
           (SELECT jsonb_agg(client_configs ORDER BY client_id, version) FROM client_configs),
           (SELECT jsonb_agg(operators ORDER BY name) FROM operators)
"""


def host_state(deployment: Deployment) -> dict[str, object]:
    """Files, packages, users, rows and processes; equal before and after means that nothing was changed."""
    return {
        **{tree: _tree(Path(tree)) for tree in TREES},
        "releases": {str(path): path.lstat().st_mtime for path in RELEASES.glob("*/*/venv/*")},
        "current": (RELEASES / "current").readlink(),
        "packages": _output("dpkg-query", "--show"),
        "users": sorted(entry.pw_name for entry in pwd.getpwall()),
        "rows": _output("runuser", "-u", "postgres", "--", "psql", "-XAt", "-d", "orbitbot", "-c", _ROWS),
        "programs": {each["name"]: (each["statename"], each["pid"]) for each in deployment.programs()},
    }


def _tree(root: Path) -> str:
    """A digest over names, owners, modes and contents of a directory."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        digest.update(f"{path} {status.st_mode} {status.st_uid} {status.st_gid}\n".encode())
        if path.is_symlink():
            digest.update(str(path.readlink()).encode())
        elif path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _output(name: str, *arguments: str) -> str:
    binary = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert binary is not None, name
    return subprocess.run([binary, *arguments], check=True, capture_output=True, text=True, cwd="/").stdout
