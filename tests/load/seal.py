"""`make bench-seal`: what a fork bomb, a memory hog and a busy loop do to the bot beside them.

On a host of its own (systemd, scopes) a bot on the simulator answers one message after the other, without
any quiet time or typing, so that nothing hides a delay. In turns it is alone, and beside three hostile bots,
each sealed off with the role's default limits. Compared is the 99th percentile from a message to its answer.
"""

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.hosts.launch import launch, remove
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.store import Store
from tests.load.complete_bot import make_release
from tests.load.report import Report, median, percentile
from tests.support.sealed import ROOT

FLEET = "bench-seal"
HOST = "bots"
PLACE = "/srv/bench"
TIMEOUT = 560.0  # seconds


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.seal", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--messages", type=int, default=100, help="in each turn")
    given = parser.parse_args()
    report = Report("seal")
    store = Store()
    release = make_release()
    remove(store, FLEET)
    fleet = launch(
        FleetRequest(name=FLEET, hosts=(HostRequest(HOST),), packages=("bubblewrap", "python3")), store
    )
    try:
        packages = next((release / "venv/bot/lib").glob("python3.*/site-packages"))
        (described,) = packages.glob("orbitbot-*.dist-info")
        _send(fleet.ssh_command(HOST, f"mkdir -p {PLACE} && tar -x -C {PLACE}"), ROOT,
              "tests/__init__.py", "tests/load", "tests/support", "tests/whatsapp/__init__.py",
              "tests/whatsapp/boundary.py", "roles/client/files")  # fmt: skip
        multipart = Path(str(find_spec("multipart").origin))  # type: ignore[union-attr]
        _send(
            fleet.ssh_command(HOST, f"mkdir -p {PLACE}/site && tar -x -C {PLACE}/site"),
            multipart.parent,
            multipart.name,
        )
        inside = ["venv/bot/bin", "venv/bot/pyvenv.cfg", f"{packages.relative_to(release)}/{described.name}"]
        inside += [str((packages / name).relative_to(release)) for name in ("orbitbot", "msgspec", "h11")]
        _send(
            fleet.ssh_command(
                HOST, f"mkdir -p {release} && chmod 711 {release.parent} && tar -x -C {release}"
            ),
            release,
            *inside,
        )
        path = f"{PLACE}:{PLACE}/site:{packages}"
        command = f"cd {PLACE} && PYTHONPATH={path} python3 -m tests.load.neighbour {release} /var/tmp/seal"
        told = json.loads(
            fleet.ssh(HOST, f"{command} {given.rounds} {given.messages}", timeout=TIMEOUT).splitlines()[-1]
        )
    finally:
        remove(store, FLEET)
    pooled = {side: [each for turn in turns for each in turn] for side, turns in told["sides"].items()}
    for side, turns in told["sides"].items():
        for turn in turns:
            report.sample(side, seconds=turn)
        for name, figure in (("p50", median(pooled[side])), ("p99", percentile(pooled[side], 0.99))):
            report.say(f"{side}: {name} {figure * 1000:.1f} ms of {len(pooled[side])} answers")
    ratio = percentile(pooled["beside"], 0.99) / percentile(pooled["alone"], 0.99)
    report.at_most("p99 beside hostile bots, of p99 alone", ratio, 1.1)
    report.at_least("the neighbour lives on", int(told["alive"]), 1)
    return report.finish()


def _send(receive: list[str], folder: Path, *names: str) -> None:
    with subprocess.Popen(["tar", "-c", "-C", folder, *names], stdout=subprocess.PIPE) as tar:
        subprocess.run(receive, stdin=tar.stdout, check=True, timeout=120)
    if tar.returncode:
        raise RuntimeError(f"tar of {folder} ended with {tar.returncode}")


if __name__ == "__main__":
    sys.exit(main())
