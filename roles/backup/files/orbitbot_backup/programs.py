"""Runs other programs: as some user, with a time limit, and with their own words when they fail."""

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from orbitbot_backup.errors import BackupError

DAY = 86_400.0  # seconds: a bound for what depends on the amount of data
_TAIL = 12  # lines of a failed program's words that are shown


def run(
    command: Sequence[str | Path],
    *,
    user: str = "",
    timeout: float = DAY,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    accept: Sequence[int] = (0,),
) -> str:
    """The program's output.

    Args:
        user: whom it runs as; empty for ourselves.
        environment: added to ours.
        accept: exit statuses that are no failure.

    Raises:
        BackupError: it failed, is not there, or took longer than `timeout` seconds.
    """
    words = [str(each) for each in command]
    try:
        done = subprocess.run(  # noqa: S603  (no shell)
            words,
            input=stdin,
            text=True,
            errors="replace",
            capture_output=True,
            check=False,
            timeout=timeout,
            cwd="/",
            env=environment_for(user) | dict(environment or {}),
            **identity(user),  # type: ignore[call-overload]
        )
    except FileNotFoundError as error:
        raise BackupError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise BackupError(f"{words[0]} did not end within {timeout:g} s") from error
    if done.returncode not in accept:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_TAIL:]
        raise BackupError(f"{shown(words)} ended with {done.returncode}: {' | '.join(said) or 'no word'}")
    return str(done.stdout)


def shown(words: Sequence[str]) -> str:
    """The program and its verb, without arguments that may be long."""
    return " ".join([Path(words[0]).name, *(each for each in words[1:] if not each.startswith("-"))][:2])


def identity(user: str) -> dict[str, object]:
    """Arguments of `subprocess` that make the child run as `user`."""
    if not user or pwd.getpwuid(os.getuid()).pw_name == user:
        return {}
    entry = pwd.getpwnam(user)
    return {
        "user": entry.pw_uid,
        "group": entry.pw_gid,
        "extra_groups": os.getgrouplist(user, entry.pw_gid),
        "umask": 0o077,
    }


def environment_for(user: str) -> dict[str, str]:
    """A plain environment: what cron and systemd give differs."""
    home = pwd.getpwnam(user).pw_dir if user else "/root"
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LANG": "C.UTF-8", "TZ": "UTC"}
