"""The command line: what it answers, and that it loads no more than it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from orbitbot import __version__, cli


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"orbitbot {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["gateway"], ["why"], ["set-operator", "x"]])
def test_wrong_command_lines(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == cli.EXIT_USAGE


@pytest.mark.parametrize("command", ["gateway", "ai", "speech", "bot", "migrate"])
def test_missing_settings_are_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "--settings", str(tmp_path / "none.toml")]) == cli.EXIT_USAGE
    error = capsys.readouterr().err
    assert error == f"orbitbot: {tmp_path / 'none.toml'}: No such file or directory\n"


def test_the_command_itself_loads_nothing_heavy() -> None:
    script = (
        "import sys, orbitbot.cli; print(sorted({'litestar', 'psycopg', 'httpx', 'jwt'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
