"""Turn-taking over a bot's whole life, crashes included, in virtual time."""

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orbitbot.bot.gateway import Outcome
from orbitbot.bot.journal import Journal
from orbitbot.bot.merging import oldest_burst
from orbitbot.bot.models import InboundEvent, Turn
from orbitbot.bot.turns import TURNS_AT_ONCE
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.reports import Delivery
from tests.unit.bot.virtual_time import run_virtually
from tests.unit.bot.world import QUICK, Life, RecordingChannel, ScriptedGateway, text

# Seconds of quiet before it, contact, what happens: a message, a redelivery of an earlier one, or a crash.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 3.9, 4.1, 5.3, 8.0, 20.0]),
        st.integers(0, 2),
        st.sampled_from(["message"] * 5 + ["again", "crash", "crash"]),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, idempotent=st.booleans(), latency=st.sampled_from([0.0, 0.2, 2.0]))
def test_crashes_lose_nothing_and_change_no_turn(
    *, steps: list[tuple[float, int, str]], idempotent: bool, latency: float
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:  # many small fsyncs
        run_virtually(_live(Path(directory), steps, idempotent=idempotent, latency=latency))


async def _live(
    directory: Path, steps: list[tuple[float, int, str]], *, idempotent: bool, latency: float
) -> None:
    channel = RecordingChannel(idempotent_send=idempotent, latency=latency)
    gateway = ScriptedGateway(answer="Primeira frase. " * 60)
    life = Life(directory, channel, gateway)
    sent: list[InboundEvent] = []
    for quiet, number, what in steps:
        await asyncio.sleep(quiet)
        if what == "message":
            sent.append(text(len(sent), f"551{number}"))
            life.receive(sent[-1])
        elif what == "again" and sent:
            life.receive(sent[(number * 7) % len(sent)])
        elif what == "crash":
            await life.crash()
            life = Life(directory, channel, gateway)
    await life.finish()

    turns_of: dict[str, list[Turn]] = defaultdict(list)
    for turn in gateway.turns.values():
        turns_of[turn.contact].append(turn)
    for contact in {event.contact for event in sent}:
        # Every message is in one turn, in order, and the grouping is what the journaled times say.
        members = [member for turn in turns_of[contact] for member in turn.members]
        assert [each.id for each in members] == [each.id for each in sent if each.contact == contact]
        remaining = tuple(members)
        for turn in turns_of[contact]:
            burst = oldest_burst(
                remaining, quiet_seconds=QUICK.quiet_seconds, burst_seconds=QUICK.burst_seconds
            )
            assert burst is not None
            assert turn.members == burst.members
            remaining = remaining[len(burst.members) :]
        # Every turn is delivered, whole and in order.
        arrived = list(dict.fromkeys(each.send_id for each in channel.arrived if each.chat == contact))
        assert arrived == [f"{turn.id}-{n}" for turn in turns_of[contact] for n in (1, 2)]

    delivered = {}
    for body in gateway.reports:
        report = msgspec.json.decode(body, type=Delivery)
        if report.state == "delivered":
            delivered[report.turn] = report.maybe_repeated
    assert set(delivered) == set(gateway.turns)
    doubled = set(channel.doubles())
    assert not (idempotent and doubled)
    assert doubled <= {turn for turn, maybe_repeated in delivered.items() if maybe_repeated}
    if idempotent:
        assert not any(delivered.values())


def test_a_burst_is_one_turn_and_the_next_waits_for_it(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway(latency=30)
        life = Life(tmp_path, channel, gateway)
        for number in range(3):
            life.receive(text(number))
            await asyncio.sleep(1)
        await asyncio.sleep(10)  # the first turn is now being answered
        life.receive(text(3))
        await asyncio.sleep(10)
        assert [len(turn.members) for turn in gateway.turns.values()] == [3]
        await life.finish()
        assert [[each.id for each in turn.members] for turn in gateway.turns.values()] == [
            ["5511.0", "5511.1", "5511.2"],
            ["5511.3"],
        ]

    run_virtually(live())


def test_many_contacts_are_served_at_once_up_to_the_bound(tmp_path: Path) -> None:
    async def live() -> None:
        gateway = ScriptedGateway(latency=10)
        life = Life(tmp_path, RecordingChannel(idempotent_send=True), gateway)
        for contact in range(3 * TURNS_AT_ONCE):
            life.receive(text(0, f"55{contact}"))
        await life.finish()
        assert gateway.most_at_once == TURNS_AT_ONCE
        assert len(gateway.turns) == 3 * TURNS_AT_ONCE

    run_virtually(live())


def test_new_settings_reach_a_burst_under_way(tmp_path: Path) -> None:
    async def live() -> None:
        gateway = ScriptedGateway()
        life = Life(
            tmp_path,
            RecordingChannel(idempotent_send=True),
            gateway,
            BotSettings(quiet_seconds=3000, burst_seconds=3000),
        )
        life.receive(text(0))
        await asyncio.sleep(60)
        assert not gateway.turns
        life.settings = BotSettings(quiet_seconds=2)
        life.turns.settings_changed()
        await asyncio.sleep(0.1)
        assert len(gateway.turns) == 1
        await life.finish()

    run_virtually(live())


@pytest.mark.parametrize(
    ("outcome", "reported"),
    [
        (Outcome("silenced", reason="quota"), []),
        (Outcome("failed", reason="provider-error"), []),
        (Outcome("failed", reason="too-large", report=True), [("failed", "too-large")]),
        (Outcome("answered", response="  \n "), [("failed", "empty-answer")]),
        (Outcome("delivered"), []),
    ],
)
def test_a_turn_without_an_answer_is_final_and_sends_nothing(
    tmp_path: Path, outcome: Outcome, reported: list[tuple[str, str]]
) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway()
        gateway.reply = outcome
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0))
        await life.finish()
        assert channel.arrived == []
        reports = [msgspec.json.decode(body, type=Delivery) for body in gateway.reports]
        assert [(each.state, each.reason) for each in reports] == reported
        assert len(gateway.turns) == 1
        Journal(tmp_path / "journal.db").close()

    run_virtually(live())


def test_an_unexpected_error_holds_up_one_contact_only_for_a_while(tmp_path: Path) -> None:
    class Stumbling(ScriptedGateway):
        stumbles = 3

        async def answer(self, turn: Turn) -> Outcome:
            if turn.contact == "5511" and self.stumbles:
                self.stumbles -= 1
                raise ZeroDivisionError
            return await super().answer(turn)

    async def live() -> None:
        channel = RecordingChannel(idempotent_send=True)
        life = Life(tmp_path, channel, Stumbling())
        life.receive(text(0, "5511"))
        life.receive(text(0, "5522"))
        await life.finish()
        assert sorted(each.chat for each in channel.arrived) == ["5511", "5522"]

    run_virtually(live())
