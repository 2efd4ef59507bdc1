"""Keeps a fleet's lock for a run of a playbook, from the task that takes it until the run's process is gone.

The action `fleet_lock` starts this, detached from the terminal. It talks to the process that holds the lock
(plugins/module_utils/fleet_runs.py, over SSH or on this machine), waits on the run's process by its pidfd,
and then passes on how the run ended, as the callback `run_record` wrote it, or that it did not.

A connection that is lost is made again as long as the run lives; the lock may be somebody else's meanwhile.

Standard input is one line of JSON: `command` (what runs Python there), `program` (its text), `run` (the run's
facts), `wait` (seconds), `records` and `locks` (folders there), `pid` (the run's process), `record` (its
record on this machine; empty: none).
Standard output: the answers up to `held` or `refused`, or `{"error": words}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, cast

BEAT = 15.0  # seconds between two signs of life; see SILENCE in fleet_runs.py
AGAIN = 5.0  # seconds before a lost connection is made again
GOODBYE = 10.0  # seconds for the other side to write the end


class Lost(Exception):
    """The connection to the lock is gone; its text is what the connection said last."""


class Session:
    """A connection to the process that holds the lock."""

    def __init__(self, job: dict[str, Any], wait: float) -> None:
        self._process = subprocess.Popen(  # noqa: S603  (no shell; the operator's own settings)
            job["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._input = cast(IO[bytes], self._process.stdin)
        self._errors = cast(IO[bytes], self._process.stderr)
        self._output = cast(IO[bytes], self._process.stdout)
        self.output = self._output.fileno()
        self._rest = b""
        self.say(job["program"])
        self.say({name: job[name] for name in ("run", "records", "locks")} | {"wait": wait})

    def say(self, word: object) -> None:
        """Send a word.

        Raises:
            Lost: nobody is there.
        """
        try:
            self._input.write(json.dumps(word).encode() + b"\n")
            self._input.flush()
        except BrokenPipeError:
            raise Lost(self._last_words()) from None

    def hear(self) -> list[dict[str, Any]]:
        """The words that have come; blocks until there is something to read.

        Raises:
            Lost: the other side has ended.
        """
        data = os.read(self.output, 65536)
        if not data:
            raise Lost(self._last_words())
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """End it and wait for the other side."""
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        try:
            self._process.wait(GOODBYE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        try:
            self._process.wait(GOODBYE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        words = self._errors.read().decode(errors="replace").strip()
        return words[-2000:] or f"the connection ended with status {self._process.wait()}"


def get(session: Session, run: int) -> bool:
    """Pass on the answers until the lock is held; whether it is.

    Args:
        run: the pidfd of the run's process.

    Raises:
        Lost: the connection ended.
    """
    poll = select.poll()
    poll.register(session.output, select.POLLIN)
    poll.register(run, select.POLLIN)
    while True:
        for ready, _ in poll.poll(BEAT * 1000):
            if ready == run:
                return False
            for word in session.hear():
                print(json.dumps(word), flush=True)  # noqa: T201  (this is the protocol)
                if "held" in word:
                    return True
                if "refused" in word:
                    return False
        session.say({})


def keep(session: Session | None, job: dict[str, Any], run: int) -> None:
    """Hold the lock until the run's process is gone, then say how it ended."""
    poll = select.poll()
    poll.register(run, select.POLLIN)
    while not poll.poll((BEAT if session else AGAIN) * 1000):
        try:
            if session:
                session.say({})
            else:
                session = Session(job, wait=0)
        except Lost:
            session = None
    if session:
        with contextlib.suppress(Lost):
            if ended := how_it_ended(job["record"]):
                session.say({"ended": ended})
        session.close()


def how_it_ended(record: str) -> dict[str, Any] | None:
    """The facts of the last line of the run's record, if that is its end; a run without one ended unknown."""
    if not record:
        return {"result": "unknown"}
    if not Path(record).exists():
        return None
    lines = Path(record).read_text("utf-8").splitlines()
    last: dict[str, Any] = json.loads(lines[-1])
    return {key: value for key, value in last.items() if key != "event"} if last["event"] == "ended" else None


def main() -> None:
    """See the module's text."""
    job = json.loads(sys.stdin.readline())
    run = os.pidfd_open(job["pid"])
    session = None
    try:
        session = Session(job, job["wait"])
        held = get(session, run)
    except Lost as lost:
        print(json.dumps({"error": str(lost)}), flush=True)  # noqa: T201  (this is the protocol)
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # who started this reads no further
    if held:
        keep(session, job, run)
    else:
        session.close()


if __name__ == "__main__":
    main()
