"""One bot's state directory on its way between hosts: read here, written there, compared by hashes.

`plugins/action/copy_bot_state.py` runs this on both hosts, as root, over SSH: `send` writes one line of JSON
(the manifest) and then a tar stream to standard output; `receive` reads the same from standard input.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

BLOCK = 1 << 20  # bytes
INCOMING = ".incoming-"  # beside the state directory, until all of it is there and compared
REPLACED = ".replaced-"


class StateError(Exception):
    """The state could not be read, or is not whole."""


def files(folder: Path) -> Iterator[Path]:
    """Every folder and regular file below, by name, as paths relative to it. Sockets and the like stay."""
    for path in sorted(folder.rglob("*")):
        kind = path.lstat().st_mode
        if stat.S_ISDIR(kind) or stat.S_ISREG(kind):
            yield path.relative_to(folder)


def manifest(folder: Path) -> dict[str, str]:
    """Path → SHA-256 of each file, and "" of each folder."""
    return {str(path): "" if (folder / path).is_dir() else digest(folder / path) for path in files(folder)}


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


@contextlib.contextmanager
def nobody_else(folder: Path) -> Iterator[None]:
    """Hold the lock that a running bot holds.

    Raises:
        StateError: a process has it.
    """
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(f"{folder / 'lock'}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise StateError(f"{folder} is in use by a process (pid {holder} by its own word)") from None
    else:
        yield
    finally:
        os.close(descriptor)


def send(folder: Path, output: BinaryIO) -> None:
    """Write manifest and content to `output`.

    Raises:
        StateError: there is no such directory, or a process uses it.
    """
    if not folder.is_dir():
        raise StateError(f"there is no {folder}")
    with nobody_else(folder):
        output.write(json.dumps(manifest(folder)).encode() + b"\n")
        with tarfile.open(fileobj=output, mode="w|") as archive:
            for path in files(folder):
                archive.add(folder / path, arcname=str(path), recursive=False)
    output.flush()


def receive(folder: Path, user: str, source: BinaryIO) -> dict[str, Any]:
    """Put what `send` wrote in place of the directory, all of it or nothing; returns files and bytes.

    Raises:
        StateError: it is not whole, or a process uses what is there.
    """
    line = source.readline()
    try:
        wanted: dict[str, str] = json.loads(line)
    except ValueError:
        raise StateError("nothing usable came from the other host") from None
    account = pwd.getpwnam(user)
    incoming = folder.with_name(INCOMING + folder.name)
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(mode=0o700)
    try:
        size = _unpack(source, incoming, wanted)
        found = manifest(incoming)
        if found != wanted:
            wrong = sorted(
                path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)
            )
            raise StateError(f"the copy differs from the original in {', '.join(wrong[:5])}")
        for path in (incoming, *(incoming / each for each in files(incoming))):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
            _sync(path)
        _swap(incoming, folder)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return {"files": sum(1 for each in wanted.values() if each), "bytes": size}


def _unpack(source: BinaryIO, target: Path, wanted: dict[str, str]) -> int:
    size = 0
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                if member.name not in wanted or not (member.isdir() or member.isreg()):
                    raise StateError(f"{member.name} was not announced")
                path = target / member.name
                if member.isdir():
                    path.mkdir(mode=0o700)
                    continue
                content = archive.extractfile(member)
                assert content is not None  # noqa: S101  (a regular file has one)
                with path.open("xb") as file:
                    shutil.copyfileobj(content, file, BLOCK)
                path.chmod(member.mode & 0o700)
                os.utime(path, (member.mtime, member.mtime))
                size += member.size
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StateError(f"the copy broke off: {error}") from error
    return size


def _swap(incoming: Path, folder: Path) -> None:
    """Put the new directory in the old one's place, which is empty or an older state of the same client."""
    replaced = folder.with_name(REPLACED + folder.name)
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        with nobody_else(folder):
            folder.rename(replaced)
            incoming.rename(folder)
    else:
        incoming.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(job: dict[str, str]) -> int:
    """Run one side; `job` has `side`, `folder` and `user`. What went wrong is said on standard error."""
    try:
        if job["side"] == "send":
            send(Path(job["folder"]), sys.stdout.buffer)
        else:
            done = receive(Path(job["folder"]), job["user"], sys.stdin.buffer)
            print(json.dumps(done))  # noqa: T201  (a command's output)
    except (StateError, OSError, KeyError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0
