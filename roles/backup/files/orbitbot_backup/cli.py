"""The command line: `orbitbot-backup --help`."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from orbitbot_backup import jobs, lost_host, restoring, snapshots
from orbitbot_backup.errors import BackupError
from orbitbot_backup.postgresql import running
from orbitbot_backup.records import Records, locked, screen
from orbitbot_backup.settings import DEFAULT, Settings, load

EXIT_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 1 when it failed, or when `status` has an alarm to give."""
    given = _parser().parse_args(arguments)
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if given.command == "snapshot":
            snapshots.snapshot(given.source, given.target)
            return 0
        return _run(given, load(given.settings))
    except BackupError as error:
        print(f"orbitbot-backup: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("orbitbot-backup: interrupted", file=sys.stderr)
        return EXIT_FAILED


def _run(given: argparse.Namespace, settings: Settings) -> int:
    match given.command:
        case "run":
            print(jobs.run(settings, given.job, full=given.full))
        case "verify":
            with locked():
                print("\n".join(jobs.verify(settings)))
        case "restore":
            with locked():
                told = restoring.restore(settings, given.to, given.client)
            print(json.dumps(told))
        case "unpack":
            sessions = given.session == "restore"
            print(json.dumps(lost_host.unpack(settings, given.host, sys.stdin.read(), sessions=sessions)))
        case "mark":
            if settings.cluster is None:
                raise BackupError("this host has no database")
            server = running(settings.cluster)
            restoring.mark(server, settings.cluster.database, given.since, given.client)
        case _:
            report = Records(settings).report()
            print(json.dumps(report) if given.json else screen(report))
            return EXIT_FAILED if any(job["alarm"] for job in report) else 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orbitbot-backup", description="Backups of an OrbitBot host.")
    parser.add_argument("--settings", type=Path, default=DEFAULT, help=f"default: {DEFAULT}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a job now")
    run.add_argument("job", help="database, dump, files or drill")
    run.add_argument("--full", action="store_true", help="of job database: a full backup")

    commands.add_parser("verify", help="read and check what the jobs have made")

    status = commands.add_parser("status", help="age and size of each backup; fails when one is overdue")
    status.add_argument("--json", action="store_true", help="print JSON")

    restore = commands.add_parser("restore", help="restore the database (playbooks/restore.yml calls this)")
    restore.add_argument("--to", required=True, help="latest, dump, or a time such as '2026-11-22 10:00'")
    restore.add_argument("--client", default="", help="only this client's rows")

    mark = commands.add_parser("mark", help="have the bots report again what they finished since a moment")
    mark.add_argument("--since", type=float, required=True, help="Unix time")
    mark.add_argument("--client", default="", help="only this client's bot")

    unpack = commands.add_parser("unpack", help="the bots of a lost host; its passphrase is standard input")
    unpack.add_argument("host")
    unpack.add_argument("--session", choices=("restore", "pair"), default="restore")

    snapshot = commands.add_parser(
        "snapshot", help="copy one bot's state, as its user (job files calls this)"
    )
    snapshot.add_argument("source", type=Path)
    snapshot.add_argument("target", type=Path)
    return parser
