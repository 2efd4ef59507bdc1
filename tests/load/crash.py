"""`make bench-crash`: bots killed between receipt and mark; messages lost and answered twice.

On the simulator, which acknowledges what is in the journal and sends idempotently, nothing may be lost or
doubled. neonize acknowledges before its caller sees a message, and its send takes no id: there losses are
counted, and the time in which a kill can cause one is measured; every double must be one that the ledger
flags as `maybe_repeated`.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.load.kills import Account, SimulatorWorld, WhatsAppWorld, side_by_side
from tests.load.report import Report, percentile
from tests.whatsapp.handle import WhatsApp

NUMBER = "55119000010{:02d}"  # of the bots
MILLISECONDS = 1000


def main() -> int:
    """Run both; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.crash", description=__doc__)
    parser.add_argument("--simulator", type=int, default=1000, metavar="KILLS")
    parser.add_argument("--neonize", type=int, default=100, metavar="KILLS")
    parser.add_argument("--worlds", type=int, default=4, help="bots at once")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    report = Report("crash")
    report.fact("seed", given.seed)
    report.say(f"seed: {given.seed}")
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        simulated = side_by_side(
            lambda number: SimulatorWorld(_folder(folder, f"simulator-{number}")),
            kills=given.simulator, worlds=given.worlds, seed=given.seed,
        )  # fmt: skip
        simulator = tell(report, "simulator", simulated)
        with WhatsApp() as whatsapp:
            real = side_by_side(
                lambda number: WhatsAppWorld(
                    _folder(folder, f"neonize-{number}"), whatsapp, NUMBER.format(number)
                ),
                kills=given.neonize, worlds=min(given.worlds, 3), seed=given.seed,
            )  # fmt: skip
            unreadable = whatsapp.unreadable()
        neonize = tell(report, "neonize", real)
    windows = [each * MILLISECONDS for each in neonize.windows]
    for share in (0.5, 0.9, 0.99, 1.0):
        word = f"p{share * 100:g} of the time from acknowledgement to journal"
        report.fact(f"neonize, {word}", round(percentile(windows, share), 1))
        report.say(f"neonize: {word}: {percentile(windows, share):.1f} ms ({len(windows)} messages)")
    report.at_most(f"simulator, {simulator.kills} kills: lost or double", _wrong(simulator), 0)
    report.at_least("simulator: kills", simulator.kills, given.simulator)
    report.at_least("neonize: kills", neonize.kills, given.neonize)
    report.at_most("neonize: double without a flag", neonize.unflagged, 0)
    report.at_most("neonize: flagged and not double", neonize.flagged - neonize.doubles, 0)
    report.at_most("neonize: lost, not acknowledged early", len(neonize.lost) - len(neonize.early), 0)
    report.at_most("neonize: answers that the contact could not read", len(unreadable), 0)
    return report.finish()


def _wrong(account: Account) -> int:
    return len(account.lost) + account.doubles


def tell(report: Report, channel: str, accounts: list[Account]) -> Account:
    """What came out for one channel, in all."""
    for each in accounts:
        report.sample(channel, **msgspec.to_builtins(each))
    account = sum(accounts, Account())
    report.say(f"{channel}: {account.kills} kills, {account.messages} messages")
    report.say(f"  lost {account.lost}, acknowledged before {account.early}")
    report.say(f"  double {account.doubles}, flagged {account.flagged}, without a flag {account.unflagged}")
    report.say(f"  died with: {dict(account.died_with.most_common())}")
    return account


def _folder(parent: str, name: str) -> Path:
    path = Path(parent) / name
    path.mkdir()
    return path


if __name__ == "__main__":
    sys.exit(main())
