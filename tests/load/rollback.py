"""How long a host takes in a deploy and a rollback, and which requests fail meanwhile: `make bench-rollback`.

A fleet answers 20 messages a second through nginx. A release whose services are other ones is deployed and
rolled back, in turns. A host's time is that of its own play: from the banner of its turn to the next banner,
with the start of its services, the switch of nginx, the proof that it answers, and the old slots' end.

The first deploy ships and unpacks the release; the later ones find it on the hosts, as a rollback does. Bots
have the same code in both, so no wave is in it.

    python -m tests.load.rollback            makes the fleet, measures, removes it
    python -m tests.load.rollback --keep     leaves it, and uses it if it is there
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.ansible.conftest import REPOSITORY
from tests.fleet.site import Site
from tests.fleet.test_deploy import GATEWAY, Project, checkout, errors, load, make_project
from tests.load.fleet import add_keep, measured_site
from tests.load.report import Report, median

ROUNDS: Final = 3
HOST_GOAL: Final = 10.0  # seconds
_BANNER: Final = re.compile(r"^PLAY \[(.*?)\]|^PLAY RECAP")
_TASK: Final = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*?)\]")
_HOST: Final = re.compile(r"^(?:ok|changed): \[([a-z0-9-]+)\]")
TURNS: Final = ("Activate the release, host by host", "Return, host by host")


@dataclass
class Turn:
    """One host's turn: its seconds, and those of its tasks.

    A task's banner comes with its first result, so the time before it is the task's own.
    """

    seconds: float = 0.0
    tasks: dict[str, float] = field(default_factory=dict)

    def add(self, task: str, seconds: float) -> None:
        """Count time for a task."""
        self.tasks[task] = round(self.tasks.get(task, 0.0) + seconds, 2)


def timed(site: Site, playbook: str, **values: str) -> dict[str, Turn]:
    """Run a playbook; each server's turn.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen(
        site.command(playbook, **values), cwd=REPOSITORY, env=site.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    found: dict[str, Turn] = {}
    output, play, task, turn, host = [], "", "", Turn(), ""
    began = since = 0.0
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            now = time.monotonic()
            if banner := _BANNER.match(line):
                turn.add(task, now - since)
                if host and play in TURNS:
                    turn.seconds = now - began
                    found[host] = turn
                play, task, turn, host, began, since = banner[1] or "", "", Turn(), "", now, now
            elif named := _TASK.match(line):
                task = named[1]
                turn.add(task, now - since)
                since = now
            elif (acted := _HOST.match(line)) and not host:
                host = acted[1]
    if process.returncode != 0:
        raise RuntimeError("".join(output)[-6000:])
    return found


def measure(site: Site, project: Project, report: Report, rounds: int) -> None:
    """Deploy and roll back in turns, under load."""
    tag = project.version("bench", GATEWAY)
    seconds: dict[str, list[float]] = {"first deploy": [], "deploy": [], "rollback": []}
    failed = 0
    for number in range(rounds):
        for side in ("deploy", "rollback"):
            name = "first deploy" if (side, number) == ("deploy", 0) else side
            values = {"version": tag} if side == "deploy" else {}
            before = sum(errors(site, host) for host in site.group("gateway"))
            with load(site, check=False) as posts, checkout(site, project):
                turns = timed(site, side, **values)
            failures = len(posts.failed) + sum(errors(site, host) for host in site.group("gateway")) - before
            failed += failures
            hosts = {host: round(turn.seconds, 2) for host, turn in turns.items()}
            seconds[name] += hosts.values()
            latencies = sorted(each.seconds for each in posts.posted)
            report.sample(
                name,
                hosts=hosts,
                tasks={host: turn.tasks for host, turn in turns.items()},
                messages=len(posts.posted),
                failed=failures,
                repeated=len(posts.repeated),
                p50=round(median(latencies), 3),
                slowest=round(latencies[-1], 3),
            )
            shown = ", ".join(f"{host} {each:.1f} s" for host, each in hosts.items())
            report.say(f"{name}: {shown}; {len(posts.posted)} messages, {failures} failed")
    for name, each in seconds.items():
        if not each:  # one round has a first deploy alone
            continue
        report.fact(f"{name}, seconds a host: median, slowest", [round(median(each), 2), round(max(each), 2)])
    report.at_most("rollback of the slowest host", max(seconds["rollback"]), HOST_GOAL, " s")
    report.at_most("failed requests, deploys and rollbacks", failed, 0)


def main() -> int:
    """Measure; see the module's text."""
    parser = argparse.ArgumentParser(description="Deploy and rollback under load.")
    add_keep(parser)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    report = Report("rollback")
    with (
        measured_site(report, keep="site" if given.keep else "") as site,
        tempfile.TemporaryDirectory() as folder,
    ):
        measure(site, make_project(Path(folder)), report, given.rounds)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
