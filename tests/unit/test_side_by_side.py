"""Commands side by side: what is printed where, whose failure counts, and what an interrupt leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.net import wait_for
from tests.support.side_by_side import named

ROOT = Path(__file__).parents[2]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The tool, with its logs below `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.side_by_side", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def outcome(folder: Path, *words: str) -> tuple[int, str]:
    """Its exit status and what it printed."""
    with start(folder, *words) as tool:
        printed, _ = tool.communicate(timeout=30)
        return tool.returncode, printed


def test_both_outputs_can_be_read_one_after_the_other(tmp_path: Path) -> None:
    # Each waits for the other: they do run at the same time.
    status, printed = outcome(
        tmp_path,
        "left:", "sh", "-c", "mkfifo pipe; echo left begins; cat pipe >/dev/null; echo left ends",
        "right:", "sh", "-c", "until [ -p pipe ]; do sleep 0.05; done; echo >pipe; echo right was here",
    )  # fmt: skip
    assert status == 0, printed
    assert printed.index("left begins\n") < printed.index("left ends\n") < printed.index("right was here\n")
    assert (tmp_path / "build/side-by-side/right.log").read_text() == "right was here\n"
    assert printed.endswith("--- left: passed\n--- right: passed\n")


@pytest.mark.parametrize(("left", "right"), [("3", "0"), ("0", "3"), ("3", "3")])
def test_the_failure_of_either_counts_and_the_other_is_run_to_its_end(
    tmp_path: Path, left: str, right: str
) -> None:
    words = [
        "left:", "sh", "-c", f"touch left; exit {left}",
        "right:", "sh", "-c", f"sleep 0.2; touch right; echo the reason; exit {right}",
    ]  # fmt: skip
    status, printed = outcome(tmp_path, *words)
    assert status == 1
    assert "the reason" in printed
    assert printed.count("FAILED with status 3") == [left, right].count("3")
    assert (tmp_path / "left").exists()
    assert (tmp_path / "right").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_both_with_all_that_they_started(tmp_path: Path, number: signal.Signals) -> None:
    # One clears up, the other does not listen to its own child's end.
    tool = start(
        tmp_path,
        "left:", "sh", "-c", "trap 'touch cleared; exit 1' INT; touch left; sleep 60 & wait",
        "right:", "sh", "-c", "sh -c 'echo $$ >right; exec sleep 60'",
    )  # fmt: skip
    with tool:
        wait_for(lambda: (tmp_path / "left").exists() and (tmp_path / "right").exists(), "both", 20)
        child = wait_for(lambda: (tmp_path / "right").read_text().strip(), "the child's number", 20)
        tool.send_signal(number)
        printed, _ = tool.communicate(timeout=30)
    assert tool.returncode == 130, printed
    assert "every command has ended" in printed
    assert (tmp_path / "cleared").exists()
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "no command was given"),
        (["true"], "'true' stands before the first name"),
        (["left:"], "'left' has no command"),
        (["left:", "true", "left:", "true"], "two commands are called 'left'"),
    ],
)
def test_words_that_are_no_commands_are_refused(words: list[str], reason: str) -> None:
    with pytest.raises(SystemExit, match=reason):
        named(words)
