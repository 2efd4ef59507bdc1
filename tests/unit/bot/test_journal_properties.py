"""The journal against a model of it in a few dictionaries: any steps, killed between any two of them."""

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orbitbot.bot.journal import Journal
from orbitbot.bot.models import InboundEvent
from orbitbot.contracts.reports import Delivery, SetAside

CONTACTS = st.sampled_from(["5511", "5522", "99@lid"])
T = TypeVar("T")
WHICH = st.integers(0, 100)  # of those that a step can be done to
NOW = 1_790_000_000.0


def chosen(candidates: Iterable[T], which: int) -> T:
    """One of them."""
    every = list(candidates)
    return every[which % len(every)]


class JournalMachine(RuleBasedStateMachine):
    """Every step is done to both; after each the journal says of every message what the model says."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir="/dev/shm"))  # many small fsyncs
        self.journal = self.open()
        self.events: list[InboundEvent] = []
        self.pending: dict[str, list[str]] = defaultdict(list)
        self.under_way: dict[str, tuple[str, list[str]]] = {}  # contact → turn, members
        self.parts: dict[str, list[str]] = {}  # turn → states of its answer's parts
        self.reports: list[tuple[str, str]] = []  # turn or message, state or reason
        self.repeated: set[str] = set()
        self.turns = 0

    def open(self) -> Journal:
        return Journal(self.directory / "journal.db", now=lambda: NOW)

    def may_begin(self) -> list[str]:
        """Contacts who wait for a turn."""
        return [each for each, ids in self.pending.items() if ids and each not in self.under_way]

    def answered(self) -> list[str]:
        """Contacts whose turn has an answer that is not sent yet."""
        return [each for each, (turn, _) in self.under_way.items() if turn in self.parts]

    def sending(self) -> list[str]:
        """Contacts to whom a part is on its way."""
        return [each for each in self.answered() if "sending" in self.parts[self.under_way[each][0]]]

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.directory)

    @rule()
    def kill(self) -> None:
        """What a killed process leaves: the files as they are at this moment."""
        left = Path(tempfile.mkdtemp(dir="/dev/shm"))
        for path in self.directory.glob("journal.db*"):
            shutil.copy(path, left)
        self.journal.close()
        shutil.rmtree(self.directory)
        self.directory = left
        self.journal = self.open()

    @rule(contact=CONTACTS, aside=st.booleans())
    def write(self, contact: str, *, aside: bool) -> None:
        """A message, to be answered or set aside."""
        number = len(self.events)
        event = InboundEvent(
            id=f"M{number}", chat=contact, sender=contact, type="text", sent_at=NOW - number, text=f"{number}"
        )
        self.events.append(event)
        assert self.journal.record(event, set_aside="muted" if aside else None)
        if aside:
            self.reports.append((event.id, "muted"))
        else:
            self.pending[contact].append(event.id)

    @precondition(lambda self: self.events)
    @rule(which=WHICH, aside=st.booleans())
    def write_again(self, which: int, *, aside: bool) -> None:
        """The same message once more, judged as before or otherwise."""
        event = chosen(self.events, which)
        assert not self.journal.record(event, set_aside="muted" if aside else None)

    @precondition(lambda self: self.may_begin())
    @rule(which=WHICH, count=st.integers(1, 4))
    def fix(self, which: int, count: int) -> None:
        """A contact's oldest messages become a turn."""
        contact = chosen(self.may_begin(), which)
        members = self.journal.pending(contact)[:count]
        self.turns += 1
        turn = f"t{self.turns}"
        self.journal.fix_turn(turn, members)
        self.under_way[contact] = (turn, self.pending[contact][:count])
        del self.pending[contact][:count]

    @precondition(lambda self: self.under_way)
    @rule(which=WHICH, parts=st.integers(1, 3))
    def answer(self, which: int, parts: int) -> None:
        """The gateway's answer; given a second time it changes nothing."""
        turn, _ = self.under_way[chosen(self.under_way, which)]
        taken = self.journal.record_answer(turn, [f"parte {n}" for n in range(parts)])
        assert taken == (turn not in self.parts)
        self.parts.setdefault(turn, ["pending"] * parts)

    @precondition(lambda self: self.answered())
    @rule(which=WHICH)
    def begin(self, which: int) -> None:
        """The next part goes to the channel, perhaps again."""
        turn = self.under_way[chosen(self.answered(), which)][0]
        states = self.parts[turn]
        place = next(n for n, state in enumerate(states) if state != "sent")
        again = states[place] == "sending"
        if all(state == "pending" for state in states):
            self.reports.append((turn, "delivering"))
        assert self.journal.begin_part(turn, place + 1, maybe_repeated=again)
        states[place] = "sending"
        self.repeated |= {turn} if again else set()

    @precondition(lambda self: self.sending())
    @rule(which=WHICH)
    def finish(self, which: int) -> None:
        """The channel has sent it."""
        contact = chosen(self.sending(), which)
        turn = self.under_way[contact][0]
        place = self.parts[turn].index("sending")
        self.parts[turn][place] = "sent"
        whole = all(state == "sent" for state in self.parts[turn])
        assert self.journal.finish_part(turn, place + 1) == whole
        if whole:
            self.reports.append((turn, "delivered"))
            del self.under_way[contact]

    @precondition(lambda self: self.under_way)
    @rule(which=WHICH, report=st.booleans())
    def end(self, which: int, *, report: bool) -> None:
        """The turn ends without an answer, or what is left of it is not sent any more."""
        turn, _ = self.under_way.pop(chosen(self.under_way, which))
        self.journal.finish_turn(turn, "failed", "x", report=report)
        if report:
            self.reports.append((turn, "failed"))

    @rule(count=st.integers(1, 3))
    def accept(self, count: int) -> None:
        """The gateway takes the oldest reports."""
        self.journal.forget_reports(self.journal.next_reports(count))
        del self.reports[:count]

    @invariant()
    def both_say_the_same(self) -> None:
        for contact in {each.contact for each in self.events}:
            assert [each.id for each in self.journal.pending(contact)] == self.pending[contact]
            turn = self.journal.turn_under_way(contact)
            told = None if turn is None else (turn.id, [each.id for each in turn.members])
            assert told == self.under_way.get(contact)
        for turn_id, states in self.parts.items():
            assert [each.state for each in self.journal.parts(turn_id)] == states
        waiting = {contact for contact, ids in self.pending.items() if ids}
        assert set(self.journal.contacts_with_work()) == waiting | set(self.under_way)
        unanswered = [turn for turn, _ in self.under_way.values() if turn not in self.parts]
        assert self.journal.backlog() == len(waiting) + len(unanswered)
        assert [self._read(each.body) for each in self.journal.next_reports(1000)] == self.reports

    def _read(self, body: bytes) -> tuple[str, str]:
        report = msgspec.json.decode(body, type=SetAside | Delivery)
        if isinstance(report, SetAside):
            return report.message_id, report.reason
        if report.state == "delivered":
            assert report.maybe_repeated == (report.turn in self.repeated)
        return report.turn, report.state


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
