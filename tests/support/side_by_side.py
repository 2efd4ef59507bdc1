"""Runs several commands at once and keeps what they print apart: `make test` does.

    python -m tests.support.side_by_side here: make test-here fleet: nice pytest tests/fleet

A word that ends with a colon names the command after it. The first command prints here; each other one prints
to `build/side-by-side/NAME.log`, which is shown once that command and the first have ended. All of them are
always run to their end. The exit status is 0 when each command's was. Ctrl-C and SIGTERM are passed on to
every command with all that it started, which then has two minutes to clear up.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NoReturn

LOGS: Final = Path("build/side-by-side")
CLEARING_UP: Final = 120.0  # seconds that an interrupted command has
_LOOK: Final = 0.2  # seconds


def named(words: Sequence[str]) -> dict[str, list[str]]:
    """The commands by their names, in order.

    Raises:
        SystemExit: the words are no such commands; the message says why.
    """
    commands: dict[str, list[str]] = {}
    for word in words:
        if word.endswith(":"):
            if word[:-1] in commands:
                raise SystemExit(f"side_by_side: two commands are called {word[:-1]!r}")
            commands[word[:-1]] = []
        elif not commands:
            raise SystemExit(f"side_by_side: {word!r} stands before the first name; a name ends with a colon")
        else:
            commands[list(commands)[-1]].append(word)
    for name, command in commands.items():
        if not name or not command:
            raise SystemExit(f"side_by_side: {name!r} has no command, or no name")
    if not commands:
        raise SystemExit("side_by_side: no command was given")
    return commands


def run(commands: dict[str, list[str]], logs: Path) -> dict[str, int]:
    """Run them to their end; each one's exit status. See the module's text.

    Raises:
        KeyboardInterrupt: this process was interrupted; the commands have ended.
    """
    logs.mkdir(parents=True, exist_ok=True)
    first, *others = commands
    running: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as files:
        try:
            for name, command in commands.items():
                log = files.enter_context((logs / f"{name}.log").open("wb")) if name != first else None
                running[name] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT if log else None,
                    start_new_session=True,  # one group each, to pass signals on to
                )
            for name in others:
                print(f"--- {name} runs at the same time; see {logs / name}.log", flush=True)
            statuses = {first: running[first].wait()}
            for name in others:
                if running[name].poll() is None:
                    print(f"--- {first} has ended; waiting for {name}", flush=True)
                statuses[name] = running[name].wait()
                show(name, logs / f"{name}.log", statuses[name])
        except KeyboardInterrupt:
            end(running)
            raise
    return statuses


def show(name: str, log: Path, status: int) -> None:
    """Print a command's log."""
    print(f"\n--- {name} (status {status}):\n", flush=True)
    with log.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.flush()


def end(running: dict[str, subprocess.Popen[bytes]]) -> None:
    """Interrupt every command and wait for it; what is left of one after two minutes is killed."""
    for process in running.values():
        _signal(process, signal.SIGINT)
    deadline = time.monotonic() + CLEARING_UP
    try:
        while any(process.poll() is None for process in running.values()) and time.monotonic() < deadline:
            time.sleep(_LOOK)
    finally:  # whoever presses Ctrl-C a second time does not want to wait
        for process in running.values():
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # the whole group has ended
        os.killpg(process.pid, number)


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(words: Sequence[str]) -> int:
    """Run the commands; returns the exit status."""
    signal.signal(signal.SIGTERM, _interrupted)
    # A shell starts what runs in its background deaf to Ctrl-C, and all its children would be, too.
    signal.signal(signal.SIGINT, _interrupted)
    try:
        statuses = run(named(words), LOGS)
    except KeyboardInterrupt:
        print("\n--- interrupted; every command has ended", file=sys.stderr)
        return 130
    print()
    for name, status in statuses.items():
        print(f"--- {name}: {'passed' if status == 0 else f'FAILED with status {status}'}")
    return 1 if any(statuses.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
