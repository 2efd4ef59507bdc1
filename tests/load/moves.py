"""How long a bot is silent while it moves, and what becomes of what people write: `make bench-move`.

A client whose phone is linked (the real neonize, in the release, and the local WhatsApp server) is moved to
and fro between two bot hosts by `move-client.yml`, while people write to it all the time, each of them once.

The silence is seen at WhatsApp: from the moment at which the bot's connection is gone until it is there again
and can be written to. The playbook tells one as well, from the stop to the bot's own report. Whoever got no
answer is lost, and the same words twice are a double, whatever the bot says of it.

    python -m tests.load.moves            makes the fleet, measures, removes it
    python -m tests.load.moves --keep     uses the tests' own if it is there, and leaves it
"""

import argparse
import re
import sys
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Final, Self

from tests.fleet.paired import CLIENT, HOST, PairedShop, paired_shop
from tests.fleet.site import Site
from tests.load.fleet import add_keep, measured_site
from tests.load.report import Report, median
from tests.support.net import wait_for

MOVES: Final = 20
RATE: Final = 0.5  # messages a second
SILENCE_GOAL: Final = 10.0  # seconds
PATIENCE: Final = 120.0  # seconds until the last message must have been answered
LOOK: Final = 0.05  # seconds between two looks at the bot's connection
QUESTION: Final = "Qual o horário de funcionamento?"
_SILENT: Final = re.compile(r"silent for ([0-9.]+) s")


class People:
    """Contacts who write once each, at a rate, and a look at whether the bot is there to read it."""

    def __init__(self, shop: PairedShop, rate: float) -> None:
        self.wrote: list[str] = []
        self.gaps: list[tuple[float, float]] = []  # the bot was away: from and until, monotonic
        self._shop = shop
        self._rate = rate
        self._over = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._write, self._look)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        while not self._over.wait(1 / self._rate):
            number = f"55219{len(self.wrote):08}"
            self._shop.whatsapp.say(self._shop.number, number, QUESTION)
            self.wrote.append(number)

    def _look(self) -> None:
        away = 0.0
        while not self._over.wait(LOOK):
            ready = self._shop.whatsapp.is_ready(self._shop.number)
            now = time.monotonic()
            if ready and away:
                self.gaps.append((away, now))
            away = 0.0 if ready else away or now

    def unanswered(self) -> list[str]:
        """Those who have got nothing yet."""
        answered = {each.to for each in self._shop.whatsapp.sent(self._shop.number)}
        return [number for number in list(self.wrote) if number not in answered]

    def doubles(self) -> int:
        """Messages that somebody got more than once, each further time counted."""
        sent = self._shop.whatsapp.sent(self._shop.number)
        times = Counter((each.to, each.kind, each.text) for each in sent if each.to in set(self.wrote))
        return sum(count - 1 for count in times.values())


def move(site: Site, people: People, to: str) -> tuple[float, float, float]:
    """Move the client; seconds of silence as seen at WhatsApp and as told by the playbook, and of the run.

    Raises:
        RuntimeError: it failed, or the bot was never away.
    """
    before = len(people.gaps)
    began = time.monotonic()
    run = site.play("move-client", client=CLIENT, to=to)
    total = time.monotonic() - began
    told = _SILENT.search(run.output)
    if run.status or told is None:
        raise RuntimeError(run.output[-6000:])
    gaps = wait_for(lambda: people.gaps[before:], "the bot to be seen at WhatsApp again", PATIENCE)
    return max(until - since for since, until in gaps), float(told[1]), total


def measure(site: Site, report: Report, moves: int, rate: float) -> None:
    """Move it to and fro while people write."""
    away = next(host for host in site.group("bots") if host != HOST)
    silences, told, totals = [], [], []
    with paired_shop(site) as shop:
        shop.add().require_success()
        shop.scan()
        with People(shop, rate) as people:
            for number in range(moves):
                to = away if number % 2 == 0 else HOST
                silence, by_playbook, total = move(site, people, to)
                silences.append(silence)
                told.append(by_playbook)
                totals.append(total)
                report.sample(
                    f"to {to}",
                    silence=round(silence, 3),
                    silence_told=by_playbook,
                    seconds=round(total, 2),
                    written=len(people.wrote),
                )
                report.say(f"move {number + 1}: silent for {silence:.1f} s, {total:.1f} s in all")
        try:
            wait_for(lambda: not people.unanswered(), "the last answers", PATIENCE)
        except TimeoutError:
            report.say("some were not answered")
        lost, doubles = people.unanswered(), people.doubles()
        links = [each for each in shop.whatsapp.devices() if each.number == shop.number]
    report.fact("messages", len(people.wrote))
    report.fact("messages a second", rate)
    report.fact("silence, median", round(median(silences), 2))
    report.fact("silence that the playbook told: median, longest", [median(told), max(told)])
    report.fact("a move in all: median, longest", [round(median(totals), 1), round(max(totals), 1)])
    report.fact("not answered", lost)
    report.say(f"{len(people.wrote)} messages; a move took {median(totals):.1f} s, {max(totals):.1f} at most")
    report.at_most("longest silence", max(silences), SILENCE_GOAL, " s")
    report.at_most("messages lost", len(lost), 0)
    report.at_most("messages doubled", doubles, 0)
    report.at_most("times that the phone was linked", len(links), 1)


def main() -> int:
    """Measure; see the module's text."""
    parser = argparse.ArgumentParser(description="Moves of a client under load.")
    add_keep(parser)
    parser.add_argument("--moves", type=int, default=MOVES)
    parser.add_argument("--rate", type=float, default=RATE, help="messages a second (%(default)g)")
    given = parser.parse_args()
    report = Report("move")
    with measured_site(report, keep="site" if given.keep else "") as site:
        measure(site, report, given.moves, given.rate)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
