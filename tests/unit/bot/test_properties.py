"""Property tests of a whole bot in virtual time: whatever comes, in whatever order, how often it is delivered
and where it crashes, every message ends in exactly one turn, in its contact's order, and is answered.
"""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orbitbot.bot.models import InboundEvent
from tests.unit.bot.virtual_time import run_virtually
from tests.unit.bot.world import Life, RecordingChannel, ScriptedGateway, text

CONTACTS = ["5511", "5521", "99@lid"]

# A step of a life: a contact writes its next message, an earlier one comes again, time passes, or it crashes.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(CONTACTS)),
        st.tuples(st.just("again"), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.floats(0.0, 20.0)),
        st.tuples(st.just("crash"), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(steps, st.booleans())
def test_every_message_is_in_one_turn_in_order_and_answered(
    life: list[tuple[str, object]],
    idempotent: bool,  # noqa: FBT001  (hypothesis passes it)
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        channel = RecordingChannel(idempotent_send=idempotent, latency=0.3)
        gateway = ScriptedGateway()
        said = run_virtually(_live(Path(directory), channel, gateway, life))
    in_turns = Counter(each.id for turn in gateway.turns.values() for each in turn.members)
    assert in_turns == Counter(each.id for each in said)
    for contact in CONTACTS:
        order = [
            each.id for turn in gateway.turns.values() if turn.contact == contact for each in turn.members
        ]
        assert order == [each.id for each in said if each.contact == contact]
    assert {each.send_id.rpartition("-")[0] for each in channel.arrived} == set(gateway.turns)
    doubles = channel.doubles()
    assert not (doubles and idempotent)
    flagged = {turn for turn in gateway.turns for body in gateway.reports if _flags(body, turn)}
    assert set(doubles) <= flagged


async def _live(
    directory: Path, channel: RecordingChannel, gateway: ScriptedGateway, life: list[tuple[str, object]]
) -> list[InboundEvent]:
    bot = Life(directory, channel, gateway)
    said: list[InboundEvent] = []
    for kind, value in life:
        match kind:
            case "write":
                said.append(text(len(said), str(value)))
                bot.receive(said[-1])
            case "again" if said:
                bot.receive(said[int(str(value)) % len(said)])
            case "wait":
                await asyncio.sleep(float(str(value)))
            case "crash":
                await bot.crash()
                bot = Life(directory, channel, gateway)
    await bot.finish()
    return said


def _flags(report: bytes, turn: str) -> bool:
    return turn.encode() in report and b'"maybeRepeated":true' in report
