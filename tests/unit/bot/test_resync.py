"""After a restore of the database the bot tells again what it finished: all of it, and once."""

import asyncio
from pathlib import Path

import pytest

from orbitbot.bot.gateway import GatewayAway
from orbitbot.bot.journal import Journal
from orbitbot.bot.models import InboundEvent
from orbitbot.bot.resync import Resync
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.journal import JournalExcerpt, JournalTaken
from tests.support.clock import Clock

RESTORED_AT = 1000.0


class Gateway:
    """Takes excerpts; `before` runs while one is under way."""

    def __init__(self) -> None:
        self.taken: list[JournalExcerpt] = []
        self.away = 0

    async def send_journal(self, excerpt: JournalExcerpt) -> JournalTaken:
        if self.away:
            self.away -= 1
            raise GatewayAway("away")
        self.taken.append(excerpt)
        return JournalTaken(added=len(excerpt.turns) + len(excerpt.set_aside))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(turn.id, turn.state) for excerpt in self.taken for turn in excerpt.turns]


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    return Journal(tmp_path / "journal.db", now=clock)


def deliver(journal: Journal, clock: Clock, at: float, name: str, *, parts: int = 2, sent: int = 2) -> None:
    """A turn of contact `name` at that time, of whose answer `sent` parts have left."""
    clock.seconds = at
    journal.record(InboundEvent(id=f"m-{name}", chat=name, sender=name, type="text", text="oi", sent_at=at))
    journal.fix_turn(name, journal.pending(name))
    journal.record_answer(name, [f"parte {n}" for n in range(1, parts + 1)])
    for position in range(1, sent + 1):
        journal.begin_part(name, position, maybe_repeated=False)
        journal.finish_part(name, position)


async def tell(journal: Journal, gateway: Gateway, settings: BotSettings) -> None:
    """Run until the journal knows that it told everything."""
    resync = Resync(journal, gateway, settings=lambda: settings, retry_ceiling=0.01)
    task = asyncio.create_task(resync.run())
    try:
        async with asyncio.timeout(20):
            while journal.told_after() != settings.restored_id:  # noqa: ASYNC110  (the journal is a file)
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_was_finished_since_is_told_and_older_is_not(journal: Journal, clock: Clock) -> None:
    deliver(journal, clock, 900, "before")
    deliver(journal, clock, 1100, "after")
    deliver(journal, clock, 1200, "sending", sent=1)
    clock.seconds = 1300
    journal.record(
        InboundEvent(id="group", chat="g", sender="g", type="text", text="oi", sent_at=1300),
        set_aside="group",
    )
    gateway = Gateway()
    gateway.away = 2
    await tell(journal, gateway, BotSettings(restored_id="r1", restored_since=RESTORED_AT))
    assert gateway.states == [("after", "delivered"), ("sending", "delivering")]
    told = gateway.taken[0].turns[0]
    assert (told.message, told.response, told.finished_at) == ("oi", "parte 1\nparte 2", 1100)
    assert [each.id for each in told.members] == ["m-after"]
    assert [each.message_id for excerpt in gateway.taken for each in excerpt.set_aside] == ["group"]


async def test_one_restore_is_answered_once_and_the_next_one_again(journal: Journal, clock: Clock) -> None:
    deliver(journal, clock, 1100, "after")
    gateway = Gateway()
    settings = BotSettings(restored_id="r1", restored_since=RESTORED_AT)
    await tell(journal, gateway, settings)
    await tell(journal, gateway, settings)
    assert gateway.states == [("after", "delivered")]
    await tell(journal, gateway, BotSettings(restored_id="r2", restored_since=1050))
    assert len(gateway.states) == 2


async def test_what_changes_while_it_is_told_is_told_again(journal: Journal, clock: Clock) -> None:
    deliver(journal, clock, 1200, "sending", sent=1)

    class Slow(Gateway):
        async def send_journal(self, excerpt: JournalExcerpt) -> JournalTaken:
            if not self.taken:
                journal.finish_part("sending", 2)
            return await super().send_journal(excerpt)

    gateway = Slow()
    await tell(journal, gateway, BotSettings(restored_id="r1", restored_since=RESTORED_AT))
    assert gateway.states == [("sending", "delivering"), ("sending", "delivered")]


async def test_many_turns_are_told_in_batches(journal: Journal, clock: Clock) -> None:
    for number in range(120):
        deliver(journal, clock, 1100 + number, f"t{number}", parts=1, sent=1)
    gateway = Gateway()
    await tell(journal, gateway, BotSettings(restored_id="r1", restored_since=RESTORED_AT))
    assert [len(excerpt.turns) for excerpt in gateway.taken] == [50, 50, 20]


async def test_without_a_restore_nothing_is_told(journal: Journal, clock: Clock) -> None:
    deliver(journal, clock, 1100, "after")
    gateway = Gateway()
    resync = Resync(journal, gateway, settings=BotSettings)
    task = asyncio.create_task(resync.run())
    for _ in range(5):
        resync.settings_changed()
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert gateway.taken == []


async def test_whom_the_restore_brought_back_is_told_first(journal: Journal, clock: Clock) -> None:
    deliver(journal, clock, 900, "old")
    journal.forget("old")
    deliver(journal, clock, 1100, "ana")
    clock.seconds = 1150
    journal.forget("ana")
    deliver(journal, clock, 1200, "bia")
    gateway = Gateway()
    await tell(journal, gateway, BotSettings(restored_id="r1", restored_since=RESTORED_AT))
    first, *rest = gateway.taken
    assert [each.at for each in first.forgotten] == [1150], "the backup knew of the first one"
    assert (first.turns, [turn.id for each in rest for turn in each.turns]) == ([], ["bia"])
