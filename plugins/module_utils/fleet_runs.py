"""Runs of playbooks: their records, and the lock that keeps them out of each other's way.

The standard library is all that this needs: controllers read it, hosts get it as a module's part, and the
host that holds a fleet's lock is sent it as a program (see `main`).

A record is a file `ID.jsonl` with one JSON object for each event: `started`, then as it goes `hosts` and
`locked`, last `ended` or `interrupted`. Whoever writes it holds an flock on it for as long as the run lives.
So a record without an end that nobody holds is that of a run that was killed, whatever killed it.

The lock is an flock as well, on a file of the host that holds it, taken by a process there which lives as
long as the connection from the run's controller: nothing is left behind that somebody would have to remove.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

KEPT = 500  # records in a folder
LOOKED_AT = 50  # newest records among which the holders of a lock are looked for
SILENCE = 60.0  # seconds without a word from the controller, after which its run counts as dead
RETRY = 0.3  # seconds between two attempts to get the lock
PATIENCE = 2.0  # seconds before waiting is worth a word, or a refusal: a run that just ended needs a moment
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}\Z")
_LOCK = re.compile(r"[a-z][a-z0-9-]{0,60}\Z")


def now() -> str:
    """The time, RFC 3339, in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def new_id() -> str:
    """An identifier that sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(3).hex()}"


def local_records() -> Path:
    """Where a controller keeps the records of its own runs."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "orbitbot/runs"


class Record:
    """The record of a run that lives, held by this process.

    Args:
        folder: made if it is not there; the oldest records beyond `KEPT` are deleted.
        run_id: as `new_id` makes it.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        if not _ID.match(run_id):
            raise ValueError(f"{run_id!r} is no run's id")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{run_id}.jsonl"
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        for old in _files(folder)[KEPT:]:
            old.unlink(missing_ok=True)

    def add(self, event: str, **facts: Any) -> None:
        """Append an event; it is on the disk when this returns."""
        os.write(self._file, (json.dumps({"event": event, "at": now(), **facts}) + "\n").encode())
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)


def read_record(path: Path) -> dict[str, Any]:
    """A record's facts, those of later events over those of earlier ones; empty if it has no complete line.

    `state` is `running`, `interrupted`, or the result that the run ended with. `started_at`, `locked_at` and
    `ended_at` are times, the latter two empty where it did not come to that.
    """
    facts: dict[str, Any] = {}
    with path.open("rb") as file:
        alive = _is_held(file.fileno())
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:  # the last line of a machine that lost power
                break
            facts.setdefault("started_at", event["at"])
            if event["event"] == "started":  # again, after a lost connection
                facts["ended_at"] = ""
            if event["event"] == "locked":
                facts["locked_at"] = event["at"]
            if event["event"] in ("ended", "interrupted"):
                facts["ended_at"] = event["at"]
            facts |= event
    if not facts:
        return {}
    ended = facts.get("result") if facts["event"] == "ended" else None
    state = ended or ("running" if alive and facts["event"] != "interrupted" else "interrupted")
    return {"ended_at": "", "locked_at": "", **facts, "state": state}


def read_runs(folder: Path, count: int) -> list[dict[str, Any]]:
    """The last `count` records of a folder, newest first; none where there is no folder."""
    return [run for path in _files(folder)[:count] if (run := read_record(path))]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"), reverse=True) if folder.is_dir() else []


def _is_held(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


class Lock:
    """One named lock of a fleet: exclusive, or shared with others who take it shared.

    A second file is the queue in front of it: who waits stands there, so that a row of short shared runs does
    not keep an exclusive one out for ever.
    """

    def __init__(self, folder: Path, name: str, *, exclusive: bool) -> None:
        if not _LOCK.match(name):
            raise ValueError(f"{name!r} is no lock's name")
        self._mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        self._file = _open(folder / f"orbitbot-{name}.lock")
        self._queue = _open(folder / f"orbitbot-{name}.queue")
        self._first = False

    def try_once(self) -> bool:
        """Whether it is held now; as long as it is not, this stands in the queue if that was free."""
        self._first = self._first or _try(self._queue, fcntl.LOCK_EX)
        held = self._first and _try(self._file, self._mode)
        if held:
            fcntl.flock(self._queue, fcntl.LOCK_UN)
        return held

    def release(self) -> None:
        """Give it back, or leave the queue."""
        os.close(self._file)
        os.close(self._queue)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _try(file: int, mode: int) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take(
    locks: Sequence[Lock],
    wait: float,
    holders: Callable[[], list[dict[str, Any]]],
    said: Callable[[list[dict[str, Any]]], None],
    gone: Callable[[], bool],
) -> bool:
    """Take all `locks`, one after the other; whether that succeeded within `wait` seconds.

    Args:
        holders: tells who is in the way.
        said: is told whenever that changes, after the first seconds.
        gone: whether the one who wants the lock is dead; it may block for `RETRY` seconds.

    Raises:
        EOFError: the one who wants the lock is dead.
    """
    begun = time.monotonic()
    told: list[dict[str, Any]] = []
    for lock in locks:
        while not lock.try_once():
            waited = time.monotonic() - begun
            if waited > max(wait, PATIENCE):
                return False
            if waited > PATIENCE and (found := holders()) not in ([], told):
                told = found
                said(found)
            if gone():
                raise EOFError
    return True


def in_the_way(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether `other` keeps `run` from its lock: one of the two is exclusive, or both are of one client."""
    if other["id"] == run["id"] or other["state"] != "running" or not other["locked_at"]:
        return False
    same_client = bool(run.get("client")) and run.get("client") == other.get("client")
    return "exclusive" in (run["lock"], other["lock"]) or same_client


def serve(listen: Iterator[str], say: Callable[[dict[str, Any]], None]) -> None:
    """Hold a run's lock and write its record, as long as its controller is heard.

    Args:
        listen: lines of the controller, JSON. First `{"run": …, "wait": seconds, "records": folder, "locks":
            folder}`, with the facts of the run (among them `id`, `lock`: "exclusive" or "shared", and
            `client`); then anything at least every `SILENCE` seconds; last `{"ended": facts}`. The end of the
            lines without it is an interruption.
        say: takes answers: `{"waiting": runs}`, `{"refused": runs}`, `{"held": true}`.
    """
    words = _Words(listen)
    request = words.next(SILENCE)
    run, records, locks = request["run"], Path(request["records"]), Path(request["locks"])
    record = Record(records, run["id"])
    record.add("started", **run)
    wanted = [Lock(locks, "fleet", exclusive=run["lock"] == "exclusive")]
    if run.get("client"):
        wanted.append(Lock(locks, f"client-{run['client']}", exclusive=True))

    def holders() -> list[dict[str, Any]]:
        return [other for other in read_runs(records, LOOKED_AT) if in_the_way(run, other)]

    try:
        if not take(wanted, request["wait"], holders, lambda found: say({"waiting": found}), words.over):
            record.add("ended", result="refused")
            say({"refused": holders()})
            return
        record.add("locked")
        say({"held": True})
        while True:
            word = words.next(SILENCE)
            if "ended" in word:
                record.add("ended", **word["ended"])
                return
    except EOFError:
        record.add("interrupted")
    finally:
        record.close()
        for lock in wanted:
            lock.release()


class _Words:
    """What a controller says, read in the background so that it can be waited for with a limit."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._queue: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: Iterator[str]) -> None:
        for line in lines:
            self._queue.put(line)
        self._queue.put(None)

    def next(self, timeout: float) -> dict[str, Any]:
        """The next word.

        Raises:
            EOFError: there is none, or none within `timeout` seconds.
        """
        try:
            line = self._queue.get(timeout=timeout)
        except queue.Empty:
            raise EOFError from None
        if line is None:
            raise EOFError
        word: dict[str, Any] = json.loads(line)
        return word

    def over(self) -> bool:
        """Whether the words have ended; waits `RETRY` seconds for that. Others are passed over."""
        try:
            return self._queue.get(timeout=RETRY) is None
        except queue.Empty:
            return False


def main() -> None:
    """Serve one controller on standard input and output: how the host that holds the lock runs this."""

    def say(word: dict[str, Any], to: TextIO = sys.stdout) -> None:
        print(json.dumps(word), file=to, flush=True)

    serve(iter(sys.stdin.readline, ""), say)


if __name__ == "__main__":
    main()
