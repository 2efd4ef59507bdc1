"""`make bench-density`: how many complete bots one host carries.

    bots      sealed off as on a host, linked, connected to the local WhatsApp server: 10, 50, 100, 200
    idle      memory (proportional set size) and processor time of all of them at each step
    load      20 messages a second over all of them, for five minutes, each from a contact of its own

Every message has to be answered exactly once. Overhead is the time from the contact's phone to the answer
on it, less the quiet time; there is no typing time and no provider. The WhatsApp server and the gateways'
doubles run in this process, whose processor time is told apart. The real gateway's share is not in it.
"""

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from orbitbot.contracts.bot import BotSettings
from tests.load.complete_bot import CompleteBot, make_release
from tests.load.footprint import proportional
from tests.load.memory import environment_for_bots
from tests.load.report import Report
from tests.support.net import wait_for
from tests.whatsapp.handle import WhatsApp
from tests.whatsapp.linking import link

STEPS: Final = (10, 50, 100, 200)
NUMBER: Final = "551190004{:04d}"
CONTACT: Final = "5511{:09d}"
QUIET: Final = 0.5  # seconds of a burst's quiet time
IDLE: Final = 20.0  # seconds over which an idle bot's processor time is measured
SETTLE: Final = 10.0  # seconds after which nothing is left to be given back
READY: Final = 180.0  # seconds
DRAIN: Final = 60.0  # seconds after the last message
TICK: Final = os.sysconf("SC_CLK_TCK")
SETTINGS: Final = BotSettings(
    config_version=1, quiet_seconds=QUIET, burst_seconds=2.0, typing_characters_per_second=0, loop_turns=1000
)


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.density", description=__doc__)
    parser.add_argument("--bots", type=int, default=STEPS[-1])
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second over all bots")
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    report = Report("density")
    report.fact("bots", given.bots)
    report.fact("rate", given.rate)
    report.fact("seconds", given.seconds)
    release = make_release()
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp", prefix="obd") as temporary,
        WhatsApp() as whatsapp,
        ExitStack() as stack,
    ):
        folder = Path(temporary)
        folder.chmod(0o711)
        variables = environment_for_bots(whatsapp, folder, release)
        bots: list[CompleteBot] = []
        for step in [*(each for each in STEPS if each < given.bots), given.bots]:
            add(bots, step, whatsapp, folder, release, variables, stack)
            idle(report, bots)
        load(report, whatsapp, bots, given.rate, given.seconds)
        report.at_most("running bots that have ended", sum(not bot.is_running() for bot in bots), 0)
    return report.finish()


def add(  # noqa: PLR0917  (all that a bot is made of)
    bots: list[CompleteBot], count: int, whatsapp: WhatsApp, folder: Path, release: Path,
    variables: dict[str, str], stack: ExitStack,
) -> None:  # fmt: skip
    """Link and start bots until there are `count`."""
    first = len(bots)
    for n in range(first, count):
        bot = CompleteBot(folder, release, f"bot-{n}", "neonize", variables)
        bot.gateway.settings = SETTINGS
        stack.callback(bot.close)
        bots.append(bot)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: link(whatsapp, bots[n].state, NUMBER.format(n)), range(first, count)))
    for n in range(first, count):
        bots[n].give_away()
        bots[n].start()
        wait_for(lambda n=n: whatsapp.is_ready(NUMBER.format(n)), f"{bots[n].client} is connected", READY)


def idle(report: Report, bots: Sequence[CompleteBot]) -> None:
    """What the bots take while nobody writes."""
    time.sleep(SETTLE)
    before, began = processor_seconds(bots), time.monotonic()
    time.sleep(IDLE)
    took = (processor_seconds(bots) - before) / (time.monotonic() - began)
    memory = sum(proportional(bot.processes()) for bot in bots)
    report.sample("idle", bots=len(bots), mib=memory, cores=took)
    report.say(
        f"{len(bots)} bots: {memory / len(bots):.1f} MiB and "
        f"{1000 * took / len(bots):.2f} ms/s of a core each"
    )


def load(
    report: Report, whatsapp: WhatsApp, bots: Sequence[CompleteBot], rate: float, seconds: float
) -> None:
    """Messages at an even rate, each from a contact of its own to a bot by chance."""
    chance = random.Random(9)
    said: dict[tuple[str, str], float] = {}  # (bot, contact) → when
    before, own, began = processor_seconds(bots), time.process_time(), time.monotonic()
    for n in range(int(rate * seconds)):
        time.sleep(max(0.0, began + n / rate - time.monotonic()))
        bot, contact = NUMBER.format(chance.randrange(len(bots))), CONTACT.format(n)
        said[bot, contact] = time.time()
        whatsapp.say(bot, contact, f"pergunta {n}")
    sent = whatsapp.call(lambda: list(whatsapp.core.post.sent))
    deadline = time.monotonic() + DRAIN
    while len({(each.bot, each.to) for each in sent}) < len(said) and time.monotonic() < deadline:
        time.sleep(0.5)
        sent = whatsapp.call(lambda: list(whatsapp.core.post.sent))
    took = time.monotonic() - began
    arrived = Counter((each.bot, each.to) for each in sent)
    lost = [each for each in said if not arrived[each]]
    doubled = [each for each in said if arrived[each] > 1]
    overheads = sorted(
        max(0.0, each.at - said[each.bot, each.to] - QUIET) for each in sent if (each.bot, each.to) in said
    )
    for overhead in overheads:
        report.sample("load", overhead=round(overhead, 4))
    cores = (processor_seconds(bots) - before) / took
    report.sample("processor", cores=cores, server_and_doubles=(time.process_time() - own) / took)
    report.say(
        f"{len(said)} messages in {took:.0f} s: {cores:.2f} cores for {len(bots)} bots, "
        f"{(time.process_time() - own) / took:.2f} for the WhatsApp server and the gateways' doubles"
    )
    p99 = overheads[min(len(overheads) - 1, int(len(overheads) * 0.99))] if overheads else float("inf")
    report.at_most("p99 of the overhead", 1000 * p99, 250.0, " ms")
    report.at_most("messages lost", len(lost), 0)
    report.at_most("messages answered twice", len(doubled), 0)


def processor_seconds(bots: Sequence[CompleteBot]) -> float:
    """Processor time that the bots' processes have taken so far."""
    total = 0
    for bot in bots:
        for pid in bot.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])  # utime, stime
    return total / TICK


if __name__ == "__main__":
    raise SystemExit(main())
