"""The commands of docs/api run as they stand."""

import re
import subprocess
from pathlib import Path

from tests.acceptance.deployment import Deployment
from tests.acceptance.vault import ROOT

PAGE = ROOT / "docs" / "api" / "index.md"
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STOP = "set -euo pipefail"


def test_the_pages_commands_run(deployment: Deployment, tmp_path: Path) -> None:
    blocks = _BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 10
    # An id of its own, because a stored answer would be given to a second run.
    script = "\n".join([_STOP, *blocks]).replace(
        "order-4711", f"order-{tmp_path.stat().st_ino}-{tmp_path.stat().st_mtime_ns}"
    )

    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for expected in ("Rua das Flores", "qual é o preço do pão", '"success":true', "urn:orbitbot:problem:"):
        assert expected in done.stdout, done.stdout
