"""How long an unchanged `site.yml` takes on a fleet, against stock Ansible: `make bench-unchanged-site`.

Both sides run this checkout's playbook on the same hosts, in turns. The stock side has Ansible's own settings
in place of those of `ansible.cfg`: its linear strategy, a new Python on a host for each task, no pipelining,
five forks, SSH connections that close after a minute. What the playbook itself saves, fewer tasks, both have.

Beside the time, each sample has the processor time that the run took on the controller and, where the hosts'
control groups tell, on the hosts: on a machine that does other things meanwhile it says more than the time.

The price of one more host is what the run takes less without one of them, as a share of the full run.

    python -m tests.load.unchanged_site            makes the fleet, measures, removes it
    python -m tests.load.unchanged_site --keep     leaves it, and uses it if it is there
"""

import argparse
import hashlib
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import Run, environment
from tests.fleet.site import HOSTS, PACKAGES, SITE_TIMEOUT, Site
from tests.hosts.fleet import Fleet
from tests.hosts.launch import launch, remove
from tests.hosts.plan import FleetRequest
from tests.hosts.store import Store
from tests.load.report import Report, median

ROUNDS: Final = 3
SPEED_GOAL: Final = 4.0  # times
HOST_GOAL: Final = 0.2  # of a full run
LEFT_OUT: Final = "bots-2"
STOCK: Final = {
    "ANSIBLE_STRATEGY": "linear",
    "ANSIBLE_PIPELINING": "False",
    "ANSIBLE_FORKS": "5",
    "ANSIBLE_SSH_ARGS": "-C -o ControlMaster=auto -o ControlPersist=60s",
    "ANSIBLE_CACHE_PLUGIN": "memory",
    "ANSIBLE_GATHERING": "implicit",
}


class Side:
    """One way to run `site.yml`.

    Args:
        settings: environment in place of what `ansible.cfg` says.
    """

    def __init__(self, site: Site, name: str, settings: dict[str, str], *arguments: str) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.processor: list[float] = []
        self._site = site
        self._settings = settings
        self._arguments = arguments

    def run(self, report: Report) -> None:
        """Run it once, keep the time. A run that fails or changes something is no sample but an error."""
        before = processor_seconds(self._site.fleet)
        began = time.monotonic()
        done = subprocess.run(
            self._site.command("site", *self._arguments),
            cwd=REPOSITORY,
            env=environment() | {"ANSIBLE_HOST_KEY_CHECKING": "True"} | self._settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SITE_TIMEOUT,
        )
        seconds = time.monotonic() - began
        processor = processor_seconds(self._site.fleet) - before
        Run(done.returncode, done.stdout).require_success().require_changes(0)
        self.seconds.append(seconds)
        self.processor.append(processor)
        report.sample(
            self.name,
            seconds=round(seconds, 3),
            processor_seconds=round(processor, 3),
            tasks=done.stdout.count("\nTASK ["),
        )
        report.say(f"{self.name}: {seconds:.1f} s, {processor:.1f} s of processor time")


def processor_seconds(fleet: Fleet) -> float:
    """Processor time of this process's children that have ended, and of all hosts where their groups tell."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = used.ru_utime + used.ru_stime
    for host in fleet.plan.hosts:
        groups = [group / host.machine / "cpu.stat" for group in fleet.plan.cgroups]
        told = (group.read_text() for group in groups if group.exists())
        found = (re.search(r"^usage_usec (\d+)$", text, re.MULTILINE) for text in told)
        total += max((int(match[1]) for match in found if match), default=0) / 1e6
    return total


def measure(site: Site, report: Report, rounds: int) -> None:
    """Run the sides in turns and compare them."""
    project = Side(site, "project", {})
    fewer = Side(site, "project, one host less", {}, "--limit", f"all:!{LEFT_OUT}:localhost")
    stock = Side(site, "stock", STOCK)
    for number in range(rounds):
        for side in (project, stock, fewer) if number % 2 == 0 else (fewer, stock, project):
            side.run(report)
    full = median(project.seconds)
    report.fact("hosts", len(site.hosts))
    report.fact(
        "processor time, stock as times of the project's", median(stock.processor) / median(project.processor)
    )
    report.at_least("speed against stock Ansible", median(stock.seconds) / full, SPEED_GOAL, " times")
    report.at_most("one more host", (full - median(fewer.seconds)) / full, HOST_GOAL, " of a full run")


def main() -> int:
    """Measure; see the module's text."""
    parser = argparse.ArgumentParser(description="An unchanged site.yml, against stock Ansible.")
    parser.add_argument("--keep", action="store_true", help="leave the fleet, and use one that is there")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    store = Store()
    name = f"bench-{hashlib.sha256(str(Path(__file__)).encode()).hexdigest()[:6]}"
    there = given.keep and name in {plan.name for plan in store.plans()}
    if not there:
        remove(store, name)
    try:
        report = Report("unchanged-site")
        request = FleetRequest(name=name, hosts=HOSTS, packages=PACKAGES)
        site = Site(Fleet.load(store, name) if there else launch(request, store))
        if there:
            site.play("site").require_success()
        else:
            report.say("making the fleet …")
            site.prepare()
        measure(site, report, given.rounds)
        return report.finish()
    finally:
        if not given.keep:
            remove(store, name)


if __name__ == "__main__":
    sys.exit(main())
