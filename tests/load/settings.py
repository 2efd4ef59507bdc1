"""`make bench-settings`: a setting for all clients, to running bots, beside `supervisorctl update`.

Real bots on the simulator channel under a supervisord of their own, one gateway, PostgreSQL and Redis. One
side changes what all clients share, and ends when every bot has logged that its settings changed. The other
changes the environment in every program's file and runs `supervisorctl update`, as a system without such a
way would. Both in turns, several times.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.load.report import Report, median
from tests.support.gateway import Client, Gateways
from tests.support.keys import make_keys
from tests.support.net import wait_for
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer
from tests.support.stack import ORBITBOT
from tests.support.supervisor import Supervisor
from tests.support.upstreams import AiDouble, SpeechDouble

PATIENCE: Final = 600.0  # seconds
WITHIN: Final = 3.0  # seconds in which every bot has a setting
TIMES_FASTER: Final = 10.0


class World:
    """Bots of one gateway, each a program of supervisord."""

    def __init__(self, gateways: Gateways, supervisor: Supervisor, directory: Path, bots: int) -> None:
        self._gateways = gateways
        self._supervisor = supervisor
        self._directory = directory
        self._clients = [gateways.add_client(f"load-{number:03}") for number in range(bots)]
        self._logs = [supervisor.directory / f"{client.id}.log" for client in self._clients]
        for client in self._clients:
            self._settle(client)
        self._write_programs(0)

    def start(self) -> None:
        """Start every bot, and see it connected."""
        self._update()
        self.wait_connected()

    def wait_connected(self) -> None:
        """Until every bot is."""
        count = "SELECT count(*) FROM bot_status WHERE state = 'connected'"
        wait_for(lambda: self._gateways.sql(count) == [(len(self._clients),)], "the bots", PATIENCE)

    def share(self, seconds: float) -> float:
        """Change a setting for all; how long until every bot has it."""
        before = self._changes()
        began = time.monotonic()
        body = {"settings": {"quietSeconds": seconds}}
        self._gateways.operator().patch("/api/fleet/configuration", json=body).raise_for_status()
        wait_for(
            lambda: all(now > then for now, then in zip(self._changes(), before, strict=True)),
            "every bot's settings",
            PATIENCE,
        )
        return time.monotonic() - began

    def restart(self, number: int) -> float:
        """The same by the programs' environment; how long `supervisorctl update` takes."""
        self._write_programs(number)
        began = time.monotonic()
        self._update()
        took = time.monotonic() - began
        self.wait_connected()
        return took

    def _changes(self) -> list[int]:
        return [log.read_bytes().count(b'"settings changed"') for log in self._logs]

    def _update(self) -> None:
        main_file = self._supervisor.directory / "supervisord.conf"
        command = ["supervisorctl", "--configuration", str(main_file), "update"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)

    def _settle(self, client: Client) -> None:
        state = self._directory / client.id
        state.mkdir(mode=0o700)
        credential = state / "credential.json"
        made = client.bot_credential
        credential.write_text(f'{{"credentialId": "{made.credential_id}", "secret": "{made.secret}"}}')
        (self._directory / f"{client.id}.toml").write_text(
            f'client_id = "{client.id}"\nchannel = "simulator"\n'
            f'gateway_url = "{self._gateways.services[0].url}"\nstate_directory = "{state}"\n'
            f'credential_file = "{credential}"\n'
        )

    def _write_programs(self, number: int) -> None:
        for client in self._clients:
            command = f"{ORBITBOT} bot --settings {self._directory / client.id}.toml"
            self._supervisor.program(client.id, command, more=f'environment=SETTING="{number}"')


def measure(world: World, report: Report, rounds: int, bots: int) -> None:
    """Both sides in turns."""
    sides: dict[str, list[float]] = {"shared": [], "update": []}
    for number in range(1, rounds + 1):
        sides["shared"].append(world.share(float(number % 50 + 5)))
        report.sample("shared", seconds=sides["shared"][-1])
        sides["update"].append(world.restart(number))
        report.sample("update", seconds=sides["update"][-1])
        report.say(f"round {number}: shared {sides['shared'][-1]:.2f} s, update {sides['update'][-1]:.1f} s")
    report.fact("bots", bots)
    ratio = median(sides["update"]) / median(sides["shared"])
    report.at_least("times faster than supervisorctl update", ratio, TIMES_FASTER)
    report.at_most("until every bot had the setting, slowest round", max(sides["shared"]), WITHIN, " s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.settings", description=__doc__)
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    report = Report("settings")
    with tempfile.TemporaryDirectory(prefix="ob-set-") as folder:
        directory = Path(folder)
        keys = make_keys(directory)
        cluster = Cluster(
            Path(tempfile.mkdtemp(prefix="orbitbot-pg-"))
        )  # which PostgreSQL's user has to reach
        redis, supervisor = RedisServer(directory), Supervisor(directory / "sv")
        cluster.start()
        redis.start()
        with AiDouble(keys) as ai, SpeechDouble(keys) as speech:
            gateways = Gateways(directory, cluster.fresh(), redis, keys, ai, speech)
            try:
                gateways.start()
                supervisor.start()
                world = World(gateways, supervisor, directory, given.bots)
                world.start()
                measure(world, report, given.rounds, given.bots)
            finally:
                supervisor.stop()
                gateways.close()
                redis.stop()
                cluster.remove()
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
