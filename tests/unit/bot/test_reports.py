"""The report queue: in order, in batches, for as long as it takes, past one that is refused."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from orbitbot.bot.gateway import GatewayAway, GatewayRefused
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.bot.models import QueuedReport
from orbitbot.bot.reports import BATCH, ReportQueue
from orbitbot.contracts.reports import SetAside
from tests.unit.bot.virtual_time import run_virtually, virtual_now
from tests.unit.bot.world import text


class Target:
    """Takes reports; `check` may raise for a batch."""

    def __init__(self, check: Callable[[list[str]], None] = lambda ids: None) -> None:
        self.batches: list[list[str]] = []
        self._check = check

    async def send_reports(self, reports: Sequence[QueuedReport]) -> None:
        await asyncio.sleep(0.01)
        ids = [msgspec.json.decode(each.body, type=SetAside).message_id for each in reports]
        self._check(ids)
        self.batches.append(ids)


def life(
    path: Path, target: Target, count: int, meanwhile: Callable[[Journal], None] = lambda journal: None
) -> None:
    """Queue reports 0 … count - 1 and let the queue run until it is empty."""

    async def run() -> None:
        journal = Journal(path / "journal.db", now=virtual_now)
        for n in range(count):
            journal.record(text(n), set_aside="muted")
        meanwhile(journal)
        task = asyncio.create_task(ReportQueue(journal, target).run())
        while journal.next_reports(1):  # noqa: ASYNC110  (virtual time)
            await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        journal.close()

    run_virtually(run())


def ids(*numbers: int) -> list[str]:
    return [f"5511.{n}" for n in numbers]


def test_they_go_in_order_and_in_batches(tmp_path: Path) -> None:
    target = Target()
    life(tmp_path, target, 2 * BATCH + 3)
    assert [len(batch) for batch in target.batches] == [BATCH, BATCH, 3]
    assert [each for batch in target.batches for each in batch] == ids(*range(2 * BATCH + 3))


def test_a_gateway_that_is_away_gets_them_later(tmp_path: Path) -> None:
    troubles = iter([GatewayAway("no answer")] * 30)

    def away(_: list[str]) -> None:
        if trouble := next(troubles, None):
            raise trouble

    target = Target(away)
    life(tmp_path, target, 3)
    assert target.batches == [ids(0, 1, 2)]


def test_one_that_is_refused_does_not_hold_up_the_others(tmp_path: Path) -> None:
    def refuse(batch: list[str]) -> None:
        if {"5511.3", "5511.77"} & set(batch):
            raise GatewayRefused(400, "invalid-input")

    target = Target(refuse)
    life(tmp_path, target, 150)
    accepted = [each for batch in target.batches for each in batch]
    assert accepted == ids(*(n for n in range(150) if n not in {3, 77}))
    journal = Journal(tmp_path / "journal.db")
    refused = journal._db.execute("SELECT refused FROM reports").fetchall()
    assert refused == [("400 invalid-input",)] * 2
    journal.close()


def test_a_full_disk_repeats_them_rather_than_losing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk_twice(journal: Journal) -> None:
        forget, troubles = journal.forget_reports, iter([JournalUnavailable("full")] * 2)

        def forget_later(accepted: Sequence[QueuedReport]) -> None:
            if trouble := next(troubles, None):
                raise trouble
            forget(accepted)

        monkeypatch.setattr(journal, "forget_reports", forget_later)

    target = Target()
    life(tmp_path, target, 2, fill_disk_twice)
    assert target.batches == [ids(0, 1)] * 3
