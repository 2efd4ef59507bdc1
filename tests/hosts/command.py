"""Running a command: one error type, and the command's own words in it."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

_TAIL = 4000  # characters of output that an error repeats


class HostsError(Exception):
    """The test hosts cannot do what was asked; the message says what and, where known, the remedy."""


def run(
    command: Sequence[str | Path], *, stdin: str | None = None, timeout: float = 60.0, check: bool = True
) -> str:
    """Run `command` and return its standard output.

    Args:
        timeout: seconds; the command is killed after them.
        check: False returns the output of a command that failed, too.

    Raises:
        HostsError: it could not be started, ended with another status than 0, or ran past `timeout`.
    """
    shown = shlex.join(map(str, command))
    try:
        done = subprocess.run(
            [str(part) for part in command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostsError(
            f"{command[0]} is not installed; `python -m tests.hosts doctor` says more"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise HostsError(f"{shown}: not done within {timeout:g} s") from error
    if check and done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-_TAIL:]
        raise HostsError(f"{shown}: exit status {done.returncode}\n{words}")
    return done.stdout
