"""What the test server does not speak, injected at neonize's boundary: the words that end a pairing,
and events that WhatsApp sends to nobody on purpose. No library is loaded.
"""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from orbitbot.bot.channels import neonize as module
from orbitbot.bot.channels import neonize_calls
from orbitbot.bot.channels.neonize import NeonizeChannel, Pace
from orbitbot.contracts.pairing import PairingFailed, QrShown, RoundOver
from tests.unit.bot.channel_contract import Bot


class FakeSession:
    """A session that does what the test says."""

    made: ClassVar[list["FakeSession"]] = []

    def __init__(self, database: Path, **callbacks: Any) -> None:
        self.callbacks = callbacks
        self.stopped = False
        FakeSession.made.append(self)

    def start(self) -> None: ...

    async def stop(self, timeout: float = 1.0) -> bool:  # noqa: ASYNC109
        self.stopped = True
        return True

    async def call(self, worker: str, function: Any) -> Any:
        return function(SimpleNamespace(is_connected=True, get_blocklist=list))

    def code(self, text: str) -> None:
        self.callbacks["on_code"](text)

    def login(self, word: str) -> None:
        self.callbacks["on_login"](word)

    def event(self, name: str, **values: Any) -> None:
        self.callbacks["on_event"](type(name, (SimpleNamespace,), {})(**values))


@pytest.fixture
async def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A started channel on fake sessions; `bot.channel` and `bot.session` are its parts."""
    FakeSession.made = []
    monkeypatch.setattr(module, "Session", FakeSession)
    monkeypatch.setattr(module.neonize_library, "silence_standard_output", lambda: None)
    monkeypatch.setattr(module.neonize_library, "give_memory_back", lambda: None)
    started: Any = Bot()
    started.channel = NeonizeChannel(tmp_path / "neonize", Pace(look=0.02))
    await started.channel.start(started.receive, started)
    await sessions(1)
    yield started
    await started.channel.stop()


async def sessions(count: int) -> FakeSession:
    async with asyncio.timeout(20):
        while len(FakeSession.made) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return FakeSession.made[-1]


async def settled(bot: Any, state: str) -> None:
    async with asyncio.timeout(20):
        while bot.states[-1][0] != state:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_demand_for_a_passkey_is_a_state_and_a_reason(bot: Any) -> None:
    session = FakeSession.made[0]
    session.code("2@abc")
    session.login("passkey-request")
    assert bot.states[-1][0] == "passkey_required"
    assert [each.reason for each in bot.pairings if isinstance(each, PairingFailed)] == ["passkey_required"]
    assert not session.stopped, "the owner may still confirm, or scan with another phone"


@pytest.mark.parametrize(
    ("word", "reason", "state"),
    [
        ("err-client-outdated", "client_outdated", "client_outdated"),
        ("err-unexpected-state", "error", "reconnecting"),
        ("error", "error", "reconnecting"),
    ],
)
async def test_a_pairing_that_fails_says_why(bot: Any, word: str, reason: str, state: str) -> None:
    FakeSession.made[0].code("2@abc")
    FakeSession.made[0].login(word)
    await settled(bot, state)
    assert [each.reason for each in bot.pairings if isinstance(each, PairingFailed)] == [reason]


async def test_a_round_ends_after_six_codes_and_begins_again_when_asked(bot: Any) -> None:
    session = FakeSession.made[0]
    for number in range(6):
        session.code(f"2@{number}")
    session.login("timeout")
    await settled(bot, "waiting_for_pairing")
    async with asyncio.timeout(5):
        while not session.stopped:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert bot.pairings[-1] == RoundOver(round=1)
    assert [each.seconds for each in bot.pairings if isinstance(each, QrShown)] == [60.0, *[20.0] * 5]
    await asyncio.sleep(0.1)
    assert len(FakeSession.made) == 1, "nothing begins by itself"
    await bot.channel.pair()
    (await sessions(2)).code("2@next")
    assert bot.pairings[-1].round == 2


@pytest.mark.parametrize(
    ("reason", "state", "words"),
    [(401, "logged_out", "on the phone"), (403, "logged_out", "locked"), (406, "banned", "banned")],
)
async def test_each_way_to_be_logged_out_is_told_apart(bot: Any, reason: int, state: str, words: str) -> None:
    FakeSession.made[0].event("Connected")
    FakeSession.made[0].event("LoggedOut", Reason=reason)
    await settled(bot, state)
    assert words in bot.states[-1][1]
    assert len(FakeSession.made) == 1


async def test_replaced_again_and_again_it_waits_longer_each_time(bot: Any) -> None:
    pauses = []
    for _ in range(7):
        bot.channel._decide = lambda verdict: pauses.append(verdict.pause)
        FakeSession.made[0].event("StreamReplaced")
    assert pauses == [60, 120, 240, 480, 960, 1800, 1800]


async def test_a_phone_that_is_silent_for_long_is_warned_of(bot: Any) -> None:
    FakeSession.made[0].event("PairStatus", Error="", ID=SimpleNamespace(User="5511"))
    FakeSession.made[0].event("Connected")
    assert bot.states[-1] == ("connected", "")
    bot.channel._file.phone.seen_at = time.time() - 11.5 * 86_400
    async with asyncio.timeout(20):
        while "silent for 11 days" not in bot.states[-1][1]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert bot.states[-1][0] == "connected"


async def test_an_event_of_a_kind_that_nobody_knows_is_let_be(bot: Any) -> None:
    FakeSession.made[0].event("SomethingNew", anything=1)
    assert bot.states[-1][0] == "starting"


@pytest.mark.parametrize(
    ("error", "certain"),
    [
        ("websocket not connected", True),
        ("no LID found for 5511 from server", True),
        ("failed to get device list: info query timed out", True),
        ("timed out waiting for message send response", False),
        ("websocket disconnected before info query returned response", False),
    ],
)
def test_only_what_certainly_did_not_leave_is_said_not_to_have(error: str, *, certain: bool) -> None:
    assert neonize_calls.has_not_left(error) is certain
