"""`make bench-density`: how many complete bots one host carries.

    bots      sealed off as on a host, linked, connected to the local WhatsApp server: 10, 50, 100, 200
    idle      memory (proportional set size) and processor time of all of them at each step
    load      20 messages a second over all of them, for five minutes

They talk to the real gateway and AI service, with PostgreSQL and Redis, all on this machine; the provider
and WhatsApp are doubles in processes of their own, whose processor time is told apart. Bots have the
settings that clients have by default. Every message has to be answered exactly once, by the provider.

Our overhead is what the ledger says of a turn: from its message in the journal to its answer delivered, less
the quiet time, the provider's time and the typing time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, Final

import msgspec

from orbitbot.bot.splitting import split_answer, typing_seconds
from orbitbot.contracts.bot import BotSettings
from tests.load.complete_bot import CompleteBot, make_release
from tests.load.footprint import (
    busy_seconds,
    family,
    processes_by_user,
    processor_seconds,
    proportional,
)
from tests.load.memory import environment_for_bots
from tests.load.report import Report, percentile
from tests.support.keys import make_keys
from tests.support.net import free_port, port_is_open, wait_for
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer
from tests.support.stack import Stack
from tests.whatsapp.linking import link
from tests.whatsapp.remote import RemoteWhatsApp

STEPS: Final = (10, 50, 100, 200)
NUMBER: Final = "551190004{:04d}"
CONTACT: Final = "5511{:09d}"
AGAIN: Final = 45.0  # seconds after which a contact writes again: long after it was answered
GOAL: Final = 250.0  # milliseconds
PERSONALITY: Final = "Você é a atendente da padaria. " * 20
AT_ONCE: Final = 3  # bots that are linked and started side by side
SPEAKERS: Final = 8  # messages that are given to the WhatsApp server side by side
IDLE: Final = 15.0  # seconds over which an idle bot's processor time is measured
SETTLE: Final = 5.0  # seconds after which nothing is left to be given back
READY: Final = 180.0  # seconds
DRAIN: Final = 60.0  # seconds in which nothing more is delivered: what is missing then does not come any more
DEFAULTS: Final = BotSettings()

_TURNS: Final = """
SELECT m.client_id, m.id, t.id, t.state, t.source, t.response, t.provider_ms,
       extract(epoch FROM t.journaled_at)::float8, extract(epoch FROM t.received_at)::float8,
       extract(epoch FROM t.answered_at)::float8, extract(epoch FROM t.finished_at)::float8
FROM messages m JOIN turns t ON t.client_id = m.client_id AND t.id = m.turn_id
ORDER BY t.received_at
"""


@dataclass
class World:
    """Everything that runs.

    Attributes:
        pids: the main process of each service and double, by name.
        said: message id → bot's number, contact, and when it was given to the WhatsApp server.
    """

    folder: Path
    release: Path
    stack: Stack
    whatsapp: RemoteWhatsApp
    pids: dict[str, int]
    variables: dict[str, str]
    bots: list[CompleteBot] = field(default_factory=list)
    said: dict[str, tuple[str, str, float]] = field(default_factory=dict)

    def processor(self) -> dict[str, float]:
        """Processor seconds so far of the bots, each service, and everything on the machine."""
        found = {name: processor_seconds(family(pid)) for name, pid in self.pids.items()}
        return {"bots": processor_seconds(self.pids_of_bots()), **found, "machine": busy_seconds()}

    def pids_of_bots(self) -> list[int]:
        """Every process of a bot."""
        owners = processes_by_user()
        return [pid for bot in self.bots for pid in owners.get(bot.user, [])]


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.density", description=__doc__)
    parser.add_argument("--bots", type=int, default=STEPS[-1])
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second over all bots")
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    report = Report("density")
    for name in ("bots", "rate", "seconds"):
        report.fact(name, getattr(given, name))
    report.fact("load before", os.getloadavg())
    with ExitStack() as stack:
        world = build(stack)
        for step in [*(each for each in STEPS if each < given.bots), given.bots]:
            add(world, step, stack)
            idle(report, world)
        if len(world.bots) > STEPS[0]:
            slopes(report)
        load(report, world, given.rate, given.seconds)
        report.at_most("bots that have ended", sum(not bot.is_running() for bot in world.bots), 0)
    return report.finish()


def build(stack: ExitStack) -> World:
    """Start everything but the bots."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp", prefix="obd")))
    folder.chmod(0o711)
    services = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orbitbot-bench-")))
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="orbitbot-pg-")), durable=True)
    stack.callback(cluster.remove)
    cluster.start()
    redis = RedisServer(services)
    redis.start()
    stack.callback(redis.stop)
    port = free_port()
    double = stack.enter_context(process([sys.executable, "-m", "tests.load.provider_double", str(port)]))
    wait_for(lambda: port_is_open(port), "the provider's double listens")
    server = stack.enter_context(process([sys.executable, "-m", "tests.whatsapp"]))
    assert server.stdout is not None
    whatsapp = RemoteWhatsApp(json.loads(server.stdout.readline())["control"])
    (services / "provider-key").write_text("sk-for-tests")
    running = Stack(
        services, cluster.fresh(), redis, make_keys(services),
        provider=f"http://127.0.0.1:{port}/v1", model="test/bench",
    )  # fmt: skip
    stack.callback(running.stop)
    running.start()
    pids = {each.name: each.process.pid for each in running.services if each.process is not None}
    pids["PostgreSQL"] = int((cluster.data / "postmaster.pid").read_text().split()[0])
    pids["Redis"] = int(redis.client().info("server")["process_id"])
    pids |= {"provider's double": double.pid, "WhatsApp server": server.pid, "this": os.getpid()}
    release = make_release()
    variables = environment_for_bots(whatsapp, release)
    return World(folder, release, running, whatsapp, pids, variables)


@contextmanager
def process(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the length of the block."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.terminate()


def add(world: World, count: int, stack: ExitStack) -> None:
    """Register, link and start bots until there are `count`."""
    numbers = range(len(world.bots), count)
    with world.stack.operator() as operator:
        for n in numbers:
            client = f"bot-{n}"
            operator.register(client, channel="neonize", name=f"Padaria {n}")
            operator.configure(client, PERSONALITY, {})
            credential = msgspec.to_builtins(operator.credential(client, "bot"))
            bot = CompleteBot(
                world.folder, world.release, client, "neonize", world.variables,
                gateway_url=world.stack.gateway.url, credential=credential,
            )  # fmt: skip
            stack.callback(bot.close)
            world.bots.append(bot)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda n: link(world.whatsapp, world.bots[n].state, NUMBER.format(n)), numbers))
    for n in numbers:  # by this thread: a bot ends with the thread that has started it
        world.bots[n].give_away()
        world.bots[n].start()
        if n % AT_ONCE == 0:
            wait_until_connected(world, n + 1)
    wait_until_connected(world, count)


def wait_until_connected(world: World, count: int) -> None:
    """Until the first `count` bots have told the gateway so.

    Raises:
        RuntimeError: one has ended; the message holds the end of its log.
    """
    with world.stack.database.connect("postgres") as connection:

        def connected() -> bool:
            for bot in world.bots[:count]:
                if not bot.is_running():
                    raise RuntimeError(f"{bot.client} has ended:\n{bot.log_tail()}")
            states = connection.execute("SELECT state, count(*) FROM bot_status GROUP BY 1").fetchall()
            return dict(states) == {"connected": count}

        wait_for(connected, f"{count} bots are connected", READY)


def idle(report: Report, world: World) -> None:
    """What the bots take while nobody writes."""
    time.sleep(SETTLE)
    cores = shares(world, IDLE)
    count, memory = len(world.bots), proportional(world.pids_of_bots())
    report.sample("idle", bots=count, mib=round(memory, 1), cores=cores)
    report.say(
        f"{count} bots: {memory / count:.1f} MiB and {1000 * cores['bots'] / count:.2f} ms/s of a core each; "
        f"gateway {cores['gateway']:.3f}, PostgreSQL {cores['PostgreSQL']:.3f}, "
        f"others on the machine {cores['others']:.2f} cores"
    )


def shares(world: World, seconds: float) -> dict[str, float]:
    """Cores that each took on average for the next `seconds`."""
    before, began = world.processor(), time.monotonic()
    time.sleep(seconds)
    return cores_since(world, before, began)


def cores_since(world: World, before: dict[str, float], began: float) -> dict[str, float]:
    """Cores that each took on average since `began`; `others`: all that is none of ours."""
    took = time.monotonic() - began
    cores = {name: (now - before[name]) / took for name, now in world.processor().items()}
    cores["others"] = 2 * cores["machine"] - sum(cores.values())
    return {name: round(each, 4) for name, each in cores.items()}


def slopes(report: Report) -> None:
    """What one more bot takes: from each step to the next, and from the first to the last."""
    steps = [(each["bots"], each["mib"], each["cores"]["bots"]) for each in report.samples("idle")]
    for (first, less, idle_less), (last, more, idle_more) in [
        *pairwise(steps),
        (steps[0], steps[-1]),
    ]:
        mib, ms = (more - less) / (last - first), 1000 * (idle_more - idle_less) / (last - first)
        report.sample("slope", bots=[first, last], mib=round(mib, 2), ms_of_a_core=round(ms, 3))
        report.say(f"one more bot, from {first} to {last}: {mib:.1f} MiB and {ms:.2f} ms/s of a core")


def load(report: Report, world: World, rate: float, seconds: float) -> None:
    """Messages at an even rate over all bots and their contacts."""
    count, before, began = int(rate * seconds), world.processor(), time.monotonic()
    late = 0.0
    with ThreadPoolExecutor(SPEAKERS) as pool:
        saying = []
        for n in range(count):
            late = max(late, time.monotonic() - began - n / rate)
            time.sleep(max(0.0, began + n / rate - time.monotonic()))
            saying.append(pool.submit(say, world, n, ceil(rate * AGAIN / len(world.bots))))
        for each in saying:
            each.result()
    cores = cores_since(world, before, began)
    report.sample("load", bots=len(world.bots), cores=cores)
    report.say("cores under load: " + ", ".join(f"{name} {each:.2f}" for name, each in cores.items()))
    report.fact("most that a message was given late, s", round(late, 3))
    report.fact("load after", os.getloadavg())
    judge(report, world, wait_until_settled(world, count))
    memory = proportional(world.pids_of_bots())
    report.sample("after", bots=len(world.bots), mib=round(memory, 1))
    report.say(f"after the load: {memory / len(world.bots):.1f} MiB each")


def say(world: World, n: int, contacts: int) -> None:
    """The `n`th message: bots take turns, and each bot's `contacts`."""
    bot = n % len(world.bots)
    contact = CONTACT.format(bot * contacts + n // len(world.bots) % contacts)
    number, at = NUMBER.format(bot), time.time()
    world.said[world.whatsapp.say(number, contact, f"Tem pão de queijo? #{n}")] = (number, contact, at)


def wait_until_settled(world: World, count: int) -> list[tuple[Any, ...]]:
    """The ledger's rows, once all are delivered or nothing moves any more."""
    most, deadline = 0, time.monotonic() + DRAIN
    with world.stack.database.connect("postgres") as connection:
        while True:
            rows = connection.execute(_TURNS).fetchall()
            delivered = sum(row[3] == "delivered" for row in rows)
            if delivered > most:
                most, deadline = delivered, time.monotonic() + DRAIN
            if delivered >= count or time.monotonic() > deadline:
                return rows
            time.sleep(1)


def judge(report: Report, world: World, rows: Sequence[tuple[Any, ...]]) -> None:
    """Overhead from the ledger; what was lost and doubled, at the contacts' phones."""
    delivered = {row[1]: row for row in rows if row[3] == "delivered"}
    arrived: Counter[tuple[str, str]] = Counter()
    for n in range(len(world.bots)):
        arrived.update((each.bot, each.to) for each in world.whatsapp.sent(NUMBER.format(n)))
    asked = Counter((number, contact) for number, contact, _ in world.said.values())
    overheads = [overhead(report, row) for row in delivered.values()]
    parts = [("bot before", 0), ("gateway and AI service", 1), ("bot and channel after", 2)]
    for name, place in parts:
        values = [each[place] for each in overheads]
        report.say(f"{name}: p50 {percentile(values, 0.5):.0f}, p99 {percentile(values, 0.99):.0f} ms")
    totals = [sum(each) for each in overheads]
    report.say(f"overhead: p50 {percentile(totals, 0.5):.0f}, p95 {percentile(totals, 0.95):.0f} ms")
    report.at_most("p99 of our overhead", percentile(totals, 0.99), GOAL, " ms")
    report.at_most("messages lost", len(world.said.keys() - delivered.keys()), 0)
    lost = sum((asked - arrived).values())
    report.at_most("answers that did not reach their contact's phone", lost, 0)
    report.at_most("answers too many on contacts' phones", sum((arrived - asked).values()), 0)
    report.at_most(
        "answered without the provider", sum(row[4] != "provider" for row in delivered.values()), 0
    )


def overhead(report: Report, row: tuple[Any, ...]) -> tuple[float, float, float]:
    """One turn's, in ms: until the gateway has it, until it is answered, until that is delivered."""
    client, message, _, _, _, response, provider_ms, journaled, received, answered, finished = row
    typing = sum(typing_seconds(part, DEFAULTS) for part in split_answer(response))
    stages = (
        1000 * (received - journaled - DEFAULTS.quiet_seconds),
        1000 * (answered - received) - provider_ms,
        1000 * (finished - answered - typing),
    )
    report.sample("turn", client=client, message=message, ms=[round(each, 1) for each in stages])
    return stages


if __name__ == "__main__":
    raise SystemExit(main())
