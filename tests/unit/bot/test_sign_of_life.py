"""Signs of life: at every change, every 15 s, and the settings that come back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from orbitbot.bot.gateway import GatewayAway
from orbitbot.bot.journal import Journal
from orbitbot.bot.sign_of_life import INTERVAL, SignOfLife
from orbitbot.contracts.bot import BotSettings, BotStatus
from tests.unit.bot.virtual_time import run_virtually, virtual_now
from tests.unit.bot.world import text


class Target:
    """A gateway that takes signs of life, or is away."""

    def __init__(self) -> None:
        self.settings = BotSettings()
        self.away = False
        self.hangs = False
        self.heard: list[tuple[float, BotStatus]] = []

    async def put_status(self, status: BotStatus, *, read_timeout: float = 10.0) -> BotSettings:
        if self.hangs:
            await asyncio.sleep(3600)
        if self.away:
            raise GatewayAway("no answer")
        self.heard.append((asyncio.get_running_loop().time(), status))
        return self.settings


def live(path: Path, script: Callable[[Target, SignOfLife, Journal, list[str]], Awaitable[None]]) -> None:
    async def run() -> None:
        journal = Journal(path / "journal.db", now=virtual_now)
        target, changes = Target(), list[str]()
        sign = SignOfLife(journal, target, channel="simulator", on_settings=lambda: changes.append("changed"))
        task = asyncio.create_task(sign.run())
        await script(target, sign, journal, changes)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        journal.close()

    run_virtually(run())


def test_at_every_change_and_every_fifteen_seconds(tmp_path: Path) -> None:
    async def script(target: Target, sign: SignOfLife, journal: Journal, changes: list[str]) -> None:
        await asyncio.sleep(2 * INTERVAL + 1)
        assert [round(at) for at, _ in target.heard] == [0, 15, 30]
        sign.set_state("connected")
        sign.set_state("connected")
        await asyncio.sleep(0.1)
        sign.set_state("reconnecting", "no network")
        await asyncio.sleep(0.1)
        assert [(each.state, each.reason) for _, each in target.heard[2:]] == [
            ("starting", ""),
            ("connected", ""),
            ("reconnecting", "no network"),
        ]

    live(tmp_path, script)


def test_it_tells_of_trouble_with_the_journal_and_of_the_backlog(tmp_path: Path) -> None:
    async def script(target: Target, sign: SignOfLife, journal: Journal, changes: list[str]) -> None:
        journal.record(text(0))
        journal.trouble = "database or disk is full"
        sign.set_state("connected", "slow")
        await asyncio.sleep(0.1)
        _, status = target.heard[-1]
        assert (status.reason, status.journal_backlog) == ("slow; journal: database or disk is full", 1)

    live(tmp_path, script)


def test_changed_settings_apply_at_once_and_are_kept(tmp_path: Path) -> None:
    async def script(target: Target, sign: SignOfLife, journal: Journal, changes: list[str]) -> None:
        await asyncio.sleep(1)
        assert changes == []
        target.settings = BotSettings(config_version=2, muted=True)
        await asyncio.sleep(2 * INTERVAL)
        assert changes == ["changed"]
        assert sign.settings == journal.settings() == target.settings

    live(tmp_path, script)


def test_that_it_is_paused_or_goes_on_is_told_at_once(tmp_path: Path) -> None:
    async def script(target: Target, sign: SignOfLife, journal: Journal, changes: list[str]) -> None:
        sign.set_state("connected")
        await asyncio.sleep(INTERVAL)
        for muted, state in ((True, "paused"), (False, "connected")):
            target.settings = BotSettings(muted=muted)
            sign.send_now()  # as an order to fetch the settings does
            await asyncio.sleep(0.1)
            assert target.heard[-1][1].state == state

    live(tmp_path, script)


def test_a_gateway_that_is_away_hears_soon_after_it_is_back(tmp_path: Path) -> None:
    async def script(target: Target, sign: SignOfLife, journal: Journal, changes: list[str]) -> None:
        target.away = True
        await asyncio.sleep(600)
        assert target.heard == []
        target.away = False
        await asyncio.sleep(INTERVAL)
        assert target.heard

    live(tmp_path, script)


def test_the_last_word_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def script(target: Target, sign: SignOfLife, journal: Journal, changes: list[str]) -> None:
        await sign.last_word()
        assert target.heard[-1][1].state == "stopping"
        target.hangs = True
        began = virtual_now()
        await sign.last_word()
        assert virtual_now() - began < 1.0

    live(tmp_path, script)
