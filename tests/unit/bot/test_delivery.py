"""Delivery: parts, typing, and what happens when a send fails or the bot dies in it."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from orbitbot.bot.channels.channel import Fate
from orbitbot.bot.journal import Journal, JournalUnavailable
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.reports import Delivery
from tests.unit.bot.virtual_time import run_virtually, virtual_now
from tests.unit.bot.world import QUICK, Life, RecordingChannel, ScriptedGateway, text

TWO_PARTS = "Primeira frase. " * 60


def delivered(gateway: ScriptedGateway) -> Delivery:
    reports = [msgspec.json.decode(body, type=Delivery) for body in gateway.reports]
    assert [each.state for each in reports] == ["delivering", "delivered"]
    return reports[-1]


def test_an_answer_arrives_in_order_with_its_numbers(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway(answer=TWO_PARTS)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await life.finish()
        (turn,) = gateway.turns
        assert [(each.send_id, each.part, each.parts) for each in channel.arrived] == [
            (f"{turn}-1", 1, 2),
            (f"{turn}-2", 2, 2),
        ]
        assert " ".join(each.text for each in channel.arrived) == TWO_PARTS.strip()
        assert all(each.quote is None for each in channel.arrived)
        assert not delivered(gateway).maybe_repeated

    run_virtually(live())


def test_in_a_group_the_first_part_quotes_the_message_it_answers(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway(answer=TWO_PARTS)
        life = Life(
            tmp_path, channel, gateway, BotSettings(answer_groups=True, typing_characters_per_second=0)
        )
        life.receive(text(0, chat="777@g.us", group=True, addressed=True))
        await life.finish()
        assert [(each.chat, each.quote) for each in channel.arrived] == [
            ("777@g.us", "5511.0"),
            ("777@g.us", None),
        ]

    run_virtually(live())


def test_typing_takes_its_time_before_each_part(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = (
            RecordingChannel(idempotent_send=True),
            ScriptedGateway(latency=0, answer=TWO_PARTS),
        )
        life = Life(
            tmp_path, channel, gateway, BotSettings(typing_characters_per_second=100, max_typing_seconds=5)
        )
        life.receive(text(0))
        await asyncio.sleep(QUICK.quiet_seconds + 4.9)
        assert channel.typed == [("5511", True)]
        assert not channel.arrived
        await asyncio.sleep(0.2)
        assert len(channel.arrived) == 1
        await life.finish()
        assert channel.typed == [("5511", True), ("5511", False)] * 2

    run_virtually(live())


def test_a_part_that_certainly_did_not_leave_is_no_double(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=False), ScriptedGateway(answer=TWO_PARTS)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await asyncio.sleep(QUICK.quiet_seconds + 0.5)
        (turn,) = gateway.turns
        channel.trouble = {f"{turn}-1": "not_sent", f"{turn}-2": "not_sent"}
        await life.finish()
        assert [each.part for each in channel.arrived] == [1, 2]
        assert not delivered(gateway).maybe_repeated

    run_virtually(live())


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_send_that_broke_off_is_repeated_and_flagged_where_it_matters(
    tmp_path: Path, *, idempotent: bool
) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=idempotent), ScriptedGateway(answer=TWO_PARTS)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await asyncio.sleep(QUICK.quiet_seconds + 0.5)
        (turn,) = gateway.turns
        channel.trouble = {f"{turn}-2": "broken"}
        await life.finish()
        assert [each.part for each in channel.arrived] == ([1, 2] if idempotent else [1, 2, 2])
        assert delivered(gateway).maybe_repeated is not idempotent

    run_virtually(live())


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_death_between_send_and_mark_is_repeated_and_flagged_where_it_matters(
    tmp_path: Path, *, idempotent: bool
) -> None:
    async def live() -> None:
        channel, gateway = (
            RecordingChannel(idempotent_send=idempotent, latency=1.0),
            ScriptedGateway(latency=0),
        )
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await asyncio.sleep(QUICK.quiet_seconds + 1.5)
        assert len(channel.arrived) == 1
        await life.crash()
        await Life(tmp_path, channel, gateway).finish()
        assert len(channel.arrived) == (1 if idempotent else 2)
        assert channel.doubles() == ({} if idempotent else dict.fromkeys(gateway.turns, 1))
        assert delivered(gateway).maybe_repeated is not idempotent

    run_virtually(live())


@pytest.mark.parametrize(("told", "copies"), [("left", 1), ("not_left", 2)])
def test_a_send_that_broke_off_is_no_double_where_the_channel_knows_its_fate(
    tmp_path: Path, told: Fate, copies: int
) -> None:
    """`not_left` is a lie here, for the channel did send it: what counts is that it is believed."""

    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=False, latency=1.0), ScriptedGateway(latency=0)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await asyncio.sleep(QUICK.quiet_seconds + 1.5)
        assert len(channel.arrived) == 1
        await life.crash()
        channel.told = told
        await Life(tmp_path, channel, gateway).finish()
        assert len(channel.arrived) == copies
        assert not delivered(gateway).maybe_repeated
        (asked,) = channel.asked
        assert asked <= virtual_now()

    run_virtually(live())


def test_a_fate_that_cannot_be_told_yet_is_waited_for(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=False, latency=1.0), ScriptedGateway(latency=0)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await asyncio.sleep(QUICK.quiet_seconds + 1.5)
        await life.crash()
        channel.told = None
        after = Life(tmp_path, channel, gateway)
        await asyncio.sleep(600)
        assert len(channel.arrived) == 1
        assert len(channel.asked) > 10
        channel.told = "left"
        await after.finish()
        assert len(channel.arrived) == 1
        assert not delivered(gateway).maybe_repeated

    run_virtually(live())


def test_a_full_disk_after_a_send_makes_no_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=False), ScriptedGateway()
        life = Life(tmp_path, channel, gateway)
        mark, failures = life.journal.finish_part, iter(range(5))

        def full_for_a_while(turn_id: str, position: int) -> bool:
            if next(failures, None) is not None:
                raise JournalUnavailable("database or disk is full")
            return mark(turn_id, position)

        monkeypatch.setattr(life.journal, "finish_part", full_for_a_while)
        life.receive(text(0))
        await life.finish()
        assert len(channel.arrived) == 1
        assert not delivered(gateway).maybe_repeated

    run_virtually(live())


def test_a_stop_lets_a_send_under_way_end_and_be_marked(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=False, latency=0.3), ScriptedGateway(latency=0)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await asyncio.sleep(QUICK.quiet_seconds + 0.4)  # it has left, and is not marked
        assert len(channel.arrived) == 1
        await life.turns.stop()
        await life.crash()
        journal = Journal(tmp_path / "journal.db", now=virtual_now)
        assert not journal.contacts_with_work()
        journal.close()

    run_virtually(live())


def test_a_stop_does_not_wait_long_for_a_send_that_hangs(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=False, latency=3600), ScriptedGateway(latency=0)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await asyncio.sleep(QUICK.quiet_seconds + 10)
        began = virtual_now()
        await life.turns.stop()
        assert virtual_now() - began < 1.5
        await life.crash()

    run_virtually(live())


def test_what_the_channel_refuses_for_good_fails_and_is_reported(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=False), ScriptedGateway(answer=TWO_PARTS)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        while not gateway.turns:  # noqa: ASYNC110  (in virtual time)
            await asyncio.sleep(0.1)
        (turn,) = gateway.turns
        channel.trouble[f"{turn}-1"] = "refused"
        await life.finish()
        assert channel.arrived == []
        reports = [msgspec.json.decode(body, type=Delivery) for body in gateway.reports]
        assert [(each.state, each.reason) for each in reports] == [
            ("delivering", ""),
            ("failed", "whatsapp-406"),
        ]

    run_virtually(live())
