"""What a bot does not load, and that it loads TLS where its gateway needs it."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from orbitbot.bot.small import stay_small
stay_small(Path(sys.argv[1]))
import orbitbot.bot.main
from orbitbot.bot.http import Http
Http(sys.argv[2], read_timeout=1.0)
import hashlib
assert hashlib.sha256(b"x").hexdigest().startswith("2d711642")
names = ("argparse", "ssl", "typing_extensions")
print(*(name for name in names if sys.modules.get(name)))
"""


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [("http://127.0.0.1:3000", []), ("https://gateway.example", ["ssl"])],
)
def test_it_loads_what_it_needs(tmp_path: Path, gateway: str, expected: list[str]) -> None:
    settings = tmp_path / "padaria.toml"
    settings.write_text(f'client_id = "padaria"\ngateway_url = "{gateway}"\n')
    command = [sys.executable, "-c", SCRIPT, str(settings), gateway]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == expected


def test_settings_that_cannot_be_read_are_left_to_who_reads_them(tmp_path: Path) -> None:
    script = "import sys; from orbitbot.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "bot", "--settings", str(tmp_path / "none.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "none.toml" in done.stderr
    assert "Traceback" not in done.stderr
