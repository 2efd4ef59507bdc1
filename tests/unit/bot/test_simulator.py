"""The simulator channel: the contract, and what is its own."""

import asyncio
import os
import time
from pathlib import Path

import msgspec
import pytest

from orbitbot.bot.channels.channel import Outbound
from orbitbot.bot.channels.simulator import OUTBOX_AGE, SimulatorChannel, SimulatorMessage, SimulatorSent
from orbitbot.bot.channels.simulator_phone import NoAnswer, SimulatorPhone
from orbitbot.bot.models import Content
from tests.unit.bot.channel_contract import Arrived, Bot, ChannelContract


class SimulatorSide:
    """A simulator channel in a directory, and a phone beside it."""

    def __init__(self, state: Path) -> None:
        self.contact = "5511987654321"
        self.directory = state / "simulator"
        self.channel = SimulatorChannel(self.directory)
        self.phone = SimulatorPhone(state, self.contact)

    def restart(self) -> SimulatorChannel:
        return SimulatorChannel(self.directory)

    def say(self, text: str, message_id: str) -> None:
        self.phone.text(text, message_id=message_id)

    def record(self, note: bytes, message_id: str) -> None:
        self.phone.voice(note, message_id=message_id)

    def show(self, content: Content, message_id: str, text: str = "") -> None:
        self.phone.drop(
            SimulatorMessage(
                id=message_id,
                from_=self.contact,
                type="text",
                sent_at=time.time(),
                text=text,
                content=content,
            )
        )

    def change(self, message_id: str, text: str) -> None:
        self.phone.edit(message_id, text)

    def received(self) -> list[str]:
        return [each.text for each in self.phone.received()]

    def arrived(self) -> list[Arrived]:
        return [
            Arrived(
                type=each.type,
                text=each.text,
                quote=each.quote or "",
                target=each.target,
                file=(self.directory / "outbox" / each.file).read_bytes() if each.file else b"",
                file_name=each.file_name,
                position=(each.latitude, each.longitude) if each.type == "location" else None,
            )
            for each in self.phone.received()
        ]


@pytest.fixture
def side(tmp_path: Path) -> SimulatorSide:
    """Not started."""
    return SimulatorSide(tmp_path)


class TestSimulator(ChannelContract):
    """The contract."""

    async def test_taken_messages_leave_the_directory(self, side: SimulatorSide, bot: Bot) -> None:
        side.say("oi", "M1")
        side.record(b"OggS", "V1")
        await bot.wait_for_events(2)
        async with asyncio.timeout(5):
            while any(path.is_file() for path in side.directory.rglob("*")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def test_what_waits_at_the_start_is_taken_in_order(self, side: SimulatorSide) -> None:
        for n in range(5):
            side.say("oi", f"M{n}")
        bot = Bot()
        await side.channel.start(bot.receive, bot)
        assert [each.id for each in await bot.wait_for_events(5)] == [f"M{n}" for n in range(5)]
        await side.channel.stop()

    async def test_malformed_files_step_aside(self, side: SimulatorSide, bot: Bot, tmp_path: Path) -> None:
        inbox = side.directory / "inbox"
        good = {"id": "X", "from": "5511", "type": "text", "sentAt": 1.0}
        contents = {
            "0000-empty.json": b"",
            "0001-not.json": b"{",
            "0002-array.json": b"[]",
            "0003-fields.json": msgspec.json.encode(good | {"colour": "red"}),
            "0004-type.json": msgspec.json.encode(good | {"type": "video"}),
            "0005-path.json": msgspec.json.encode(good | {"type": "voice", "media": "../../lock"}),
            "0006-utf8.json": b'{"id": "\xff"}',
            "0007-surrogate.json": b'{"id":"X","from":"5511","type":"text","sentAt":1,"text":"\\ud800"}',
            "0008-large.json": b" " * 1_000_001,
            "0009-missing.json": msgspec.json.encode({"id": "X"}),
        }
        for name, content in contents.items():
            (inbox / f".{name}.tmp").write_bytes(content)
            (inbox / f".{name}.tmp").rename(inbox / name)
        os.mkfifo(inbox / "0010-pipe.json")
        (inbox / "0011-link.json").symlink_to("/etc/passwd")
        (inbox / "0012-directory.json").mkdir()
        side.say("oi", "M1")
        assert [each.id for each in await bot.wait_for_events(1)] == ["M1"]
        rejected = {path.name for path in (inbox / "rejected").iterdir()}
        assert rejected == {*contents, "0010-pipe.json", "0011-link.json", "0012-directory.json"}

    async def test_what_is_still_being_written_is_left_alone(self, side: SimulatorSide, bot: Bot) -> None:
        (side.directory / "inbox/.half.json").write_bytes(b"{")
        (side.directory / "inbox/notes.txt").write_bytes(b"{")
        side.say("oi", "M1")
        await bot.wait_for_events(1)
        assert (side.directory / "inbox/.half.json").exists()
        assert (side.directory / "inbox/notes.txt").exists()

    async def test_the_outbox_tells_the_whole_message(self, side: SimulatorSide, bot: Bot) -> None:
        await side.channel.send(
            Outbound(send_id="t-2", chat="777@g.us", text="oi", quote="M1", part=2, parts=3)
        )
        sent = msgspec.json.decode((side.directory / "outbox/t-2.json").read_bytes(), type=SimulatorSent)
        assert (sent.id, sent.to, sent.text, sent.quote, sent.part, sent.parts) == (
            "t-2", "777@g.us", "oi", "M1", 2, 3,
        )  # fmt: skip
        assert side.received() == []

    async def test_old_answers_are_removed_at_the_start(self, side: SimulatorSide) -> None:
        for name in ("old", "new"):
            await side.channel.send(Outbound(send_id=name, chat=side.contact, text=name))
        old = time.time() - OUTBOX_AGE - 1
        os.utime(side.directory / "outbox/old.json", (old, old))
        bot = Bot()
        await side.channel.start(bot.receive, bot)
        await side.channel.stop()
        assert side.received() == ["new"]


def test_a_phone_gives_up_at_its_deadline(side: SimulatorSide) -> None:
    with pytest.raises(NoAnswer, match="0 messages"):
        side.phone.wait(bool, timeout=0.1)


def test_a_phone_follows_no_link_that_a_bot_may_have_laid(side: SimulatorSide, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (side.directory / "inbox/rejected").rmdir()
    (side.directory / "inbox").rmdir()
    (side.directory / "inbox").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="inbox"):
        side.phone.text("oi")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (side.directory / "outbox/a.json").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match=r"a\.json"):
        side.phone.received()
