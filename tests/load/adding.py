"""How long a new client takes, from the command to its phone's first code: `make bench-add-client`.

`add-client.yml` adds a client on its default channel (the real neonize, in the release, and the local
WhatsApp server) to a fleet of two bot hosts that has 10, 100 and 200 clients. It is ready to pair when the
playbook prints the link to the pairing page. Each time it is removed again.

Clients that are there were added by `add-client.yml -e clients_file=…`, on the simulator channel, with all
that belongs to them: rows, placement, user, directory, credential, settings, program. The bots of `--running`
of them run, the others' were stopped again once they had been ready: what counts here is their number, and
this machine's processors would count instead. How long the many took is told as well.

    python -m tests.load.adding            makes the fleet, measures, removes it
    python -m tests.load.adding --keep     leaves it with its clients, and uses it if it is there
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Final

from tests.ansible.conftest import REPOSITORY
from tests.fleet.paired import LINK, paired_shop
from tests.fleet.site import Site
from tests.load.fleet import add_keep, measured_site
from tests.load.report import Report, median

PRESENT: Final = (10, 100, 200)
ROUNDS: Final = 3
RUNNING: Final = 40
AT_ONCE: Final = 20  # clients of one file: as many bots start together, on two processors
GOAL: Final = 15.0  # seconds, with the middle number present
SLOWER: Final = 1.2  # times, with the most present against the fewest
_PLAY: Final = re.compile(r"^PLAY \[(.*?)\]|^PLAY RECAP")


class Crowd:
    """The clients that are there.

    Args:
        running: how many of their bots run; the others' are stopped once they were ready.
    """

    def __init__(self, site: Site, report: Report, running: int) -> None:
        self._site = site
        self._report = report
        self._running = running
        with site.api() as api:
            listed = api.http.get("/api/clients").raise_for_status().json()["clients"]
        self._ids = [each["id"] for each in listed if each["state"] != "removed"]

    def grow(self, present: int) -> None:
        """Have so many clients in the fleet, those that were there included."""
        while (missing := present - len(self._ids)) > 0:
            self._add(min(missing, AT_ONCE))

    def _add(self, count: int) -> None:
        new = [f"here-{len(self._ids) + number:03}" for number in range(count)]
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("".join(f'[[clients]]\nid = "{each}"\nchannel = "simulator"\n' for each in new))
            file.flush()
            began = time.monotonic()
            self._site.play("add-client", clients_file=file.name).require_success()
            seconds = time.monotonic() - began
        self._report.sample("many at once", present=len(self._ids), clients=count, seconds=round(seconds, 2))
        self._report.say(f"{count} clients of one file, {len(self._ids)} present: {seconds:.1f} s")
        self._ids += new
        self._stop(self._ids[self._running :])

    def _stop(self, clients: Sequence[str]) -> None:
        names = {f"bot-{client}" for client in clients}
        for host in self._site.group("bots"):
            told = self._site.fleet.ssh(host, "supervisorctl status || [ $? = 3 ]")
            up = re.findall(r"^(\S+) +(?:RUNNING|STARTING)", told, re.MULTILINE)
            running = sorted(names.intersection(up))
            if running:
                self._site.fleet.ssh(host, f"supervisorctl stop {' '.join(running)}", timeout=300)


def add(site: Site, client: str) -> tuple[float, float, dict[str, float]]:
    """Add a client; seconds until the link was printed and until the end, and those of each play.

    Raises:
        RuntimeError: it failed.
    """
    began = time.monotonic()
    run = subprocess.Popen(
        site.command("add-client", client=client),
        cwd=REPOSITORY,
        env=site.environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output, plays, play, since, ready = [], {}, "Start Ansible", began, 0.0
    with run:
        assert run.stdout is not None
        for line in run.stdout:
            output.append(line)
            now = time.monotonic()
            if LINK.search(line) and not ready:
                ready = now - began
            if banner := _PLAY.match(line):
                plays[play] = round(now - since, 3)
                play, since = banner[1] or "End", now
    if run.returncode or not ready:
        raise RuntimeError("".join(output)[-6000:])
    return ready, time.monotonic() - began, plays


def measure(site: Site, report: Report, present: Sequence[int], rounds: int, running: int) -> None:
    """Add a client to more and more others, several times each."""
    seconds: dict[int, list[float]] = {}
    stages: dict[int, list[dict[str, float]]] = {}
    crowd = Crowd(site, report, running)
    report.fact("running bots, at most", running)
    with paired_shop(site):
        for count in present:
            crowd.grow(count)
            for number in range(rounds):
                client = f"new-{count}-{number}"
                ready, total, plays = add(site, client)
                site.play("remove-client", client=client, purge=True).require_success()
                seconds.setdefault(count, []).append(ready)
                stages.setdefault(count, []).append(plays)
                report.sample(
                    f"{count} present", seconds=round(ready, 3), to_the_end=round(total, 3), stages=plays
                )
                report.say(f"{count} present: ready to pair after {ready:.1f} s")
    for play in stages[present[0]][0]:
        took = {count: round(median([each[play] for each in stages[count]]), 2) for count in present}
        report.fact(f"stage, {play}", took)
        report.say(f"  {play}: {', '.join(f'{each} s with {count}' for count, each in took.items())}")
    middle = present[len(present) // 2]
    report.at_most(f"ready to pair with {middle} present", median(seconds[middle]), GOAL, " s")
    slower = median(seconds[present[-1]]) / median(seconds[present[0]])
    report.at_most(f"with {present[-1]} present, of the time with {present[0]}", slower, SLOWER)


def main() -> int:
    """Measure; see the module's text."""
    parser = argparse.ArgumentParser(description="A new client, with many others present.")
    add_keep(parser)
    parser.add_argument("--present", type=int, nargs="+", default=PRESENT)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--running", type=int, default=RUNNING, help="bots that run (%(default)s)")
    given = parser.parse_args()
    report = Report("add-client")
    with measured_site(report, keep=report.name if given.keep else "") as site:
        measure(site, report, given.present, given.rounds, given.running)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
