"""What every channel must do, whatever lies behind it. A channel's test file derives from `ChannelContract`.

`ChannelUnderTest` is how the suite plays the contact's side of it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import pytest

from orbitbot.bot.channels.channel import Channel, Outbound, UnusableEvent
from orbitbot.bot.journal import JournalUnavailable
from orbitbot.bot.models import Content, InboundEvent
from orbitbot.contracts.bot import BotState
from orbitbot.contracts.commands import SendType
from orbitbot.contracts.pairing import PairingEvent


class Arrived(msgspec.Struct, kw_only=True):
    """A message as the contact has it."""

    type: str
    text: str = ""
    quote: str = ""
    target: str = ""
    file: bytes = b""
    file_name: str = ""
    position: tuple[float, float] | None = None


CONTENTS = [
    Content(kind="location", name="Praça", detail="Rua A, 1", position=(-23.5, -46.25)),
    Content(kind="contact", name="Beto", detail="5521977776666"),
    Content(kind="document", name="nota.pdf", detail="application/pdf"),
    Content(kind="sticker"),
    Content(kind="poll", name="Que dia?", detail="sexta / sábado"),
]


class ChannelUnderTest(Protocol):
    """A channel and the contact at its other end."""

    channel: Channel
    contact: str

    def restart(self) -> Channel:
        """Another process's channel on the same session."""
        ...

    def say(self, text: str, message_id: str) -> None:
        """The contact writes."""
        ...

    def record(self, note: bytes, message_id: str) -> None:
        """The contact sends a voice note."""
        ...

    def show(self, content: Content, message_id: str, text: str = "") -> None:
        """The contact sends what is more than text, or none."""
        ...

    def change(self, message_id: str, text: str) -> None:
        """The contact edits a message; an empty text takes it back."""
        ...

    def received(self) -> list[str]:
        """The texts that have reached the contact."""
        ...

    def arrived(self) -> list[Arrived]:
        """Everything that has reached the contact."""
        ...


class Bot:
    """The rest of the bot, as far as a channel sees it."""

    def __init__(self) -> None:
        self.events: list[InboundEvent] = []
        self.notes: list[bytes] = []
        self.states: list[tuple[BotState, str]] = []
        self.until: float | None = None
        self.number = self.lid = ""
        self.pairings: list[PairingEvent] = []
        self.receipts: list[tuple[list[str], str]] = []
        self.answers: Callable[[InboundEvent], None] = lambda event: None

    def receive(self, event: InboundEvent) -> None:
        self.answers(event)
        self.events.append(event)
        if event.media is not None:
            self.notes.append(event.media.read_bytes())

    def set_state(self, state: BotState, reason: str = "", *, until: float | None = None) -> None:
        self.states.append((state, reason))
        self.until = until

    def set_account(self, number: str, *, lid: str = "", phone_seen_at: float | None = None) -> None:
        self.number, self.lid = number, lid

    def pairing(self, event: PairingEvent) -> None:
        self.pairings.append(event)

    def receipt(self, message_ids: list[str], state: Literal["delivered", "read"]) -> None:
        self.receipts.append((message_ids, state))

    async def wait_until_connected(self) -> None:
        async with asyncio.timeout(60):
            while ("connected", "") not in self.states:  # noqa: ASYNC110  (as below)
                await asyncio.sleep(0.01)

    async def wait_for_events(self, count: int) -> list[InboundEvent]:
        async with asyncio.timeout(30):
            while len(self.events) < count:  # noqa: ASYNC110  (events come from outside the loop)
                await asyncio.sleep(0.01)
        return self.events


def _outbound(side: ChannelUnderTest, type_: SendType, **more: Any) -> Outbound:
    return Outbound(**{"send_id": f"s-{type_}", "chat": side.contact, "text": "", "type": type_} | more)


class ChannelContract:
    """Derive from this and give a fixture `side` that yields a `ChannelUnderTest`."""

    @pytest.fixture
    async def bot(self, side: ChannelUnderTest) -> AsyncIterator[Bot]:
        """A started channel's bot; stopped at the end."""
        started = Bot()
        await side.channel.start(started.receive, started)
        await started.wait_until_connected()
        yield started
        await side.channel.stop()

    async def test_it_tells_when_it_is_connected(self, bot: Bot) -> None:
        assert ("connected", "") in bot.states

    async def test_messages_come_in_order_with_all_that_is_known(
        self, side: ChannelUnderTest, bot: Bot
    ) -> None:
        for n in range(20):
            side.say(f"mensagem {n} — ação", f"M{n}")
        events = await bot.wait_for_events(20)
        assert [(each.id, each.text) for each in events] == [
            (f"M{n}", f"mensagem {n} — ação") for n in range(20)
        ]
        assert {(each.sender, each.chat, each.type, each.group, each.kind) for each in events} == {
            (side.contact, side.contact, "text", False, "message")
        }

    async def test_a_voice_note_comes_with_its_bytes(
        self, side: ChannelUnderTest, bot: Bot, tmp_path: Path
    ) -> None:
        note = bytes(range(256)) * 400
        side.record(note, "V1")
        (event,) = await bot.wait_for_events(1)
        if event.remote_media is not None:
            assert event.remote_media.size == len(note)
            assert event.remote_media.digest == hashlib.sha256(note).hexdigest()
            await side.channel.fetch_media(event.remote_media.source, tmp_path / "fetched")
            bot.notes.append((tmp_path / "fetched").read_bytes())
        assert (event.type, bot.notes) == ("voice", [note])

    async def test_what_could_not_be_journaled_is_offered_again(
        self, side: ChannelUnderTest, bot: Bot
    ) -> None:
        troubles = iter([JournalUnavailable("full"), JournalUnavailable("full")])

        def full_twice(_: InboundEvent) -> None:
            if trouble := next(troubles, None):
                raise trouble

        bot.answers = full_twice
        side.say("oi", "M1")
        side.say("de novo", "M2")
        assert [each.id for each in await bot.wait_for_events(2)] == ["M1", "M2"]

    async def test_what_was_not_taken_before_a_stop_is_offered_to_the_next_process(
        self, side: ChannelUnderTest, bot: Bot
    ) -> None:
        refused: list[str] = []

        def refuse(event: InboundEvent) -> None:
            refused.append(event.id)
            raise JournalUnavailable("full")

        bot.answers = refuse
        side.say("oi", "M1")
        async with asyncio.timeout(30):
            while not refused:  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0.01)
        await side.channel.stop()
        later, channel = Bot(), side.restart()
        await channel.start(later.receive, later)
        side.say("de novo", "M2")
        expected = ["M2"] if channel.acknowledges_early else ["M1", "M2"]
        assert [each.id for each in await later.wait_for_events(len(expected))] == expected
        await channel.stop()
        assert bot.events == []

    async def test_an_unusable_event_does_not_hold_up_the_next(
        self, side: ChannelUnderTest, bot: Bot
    ) -> None:
        def refuse_first(event: InboundEvent) -> None:
            if event.id == "M1":
                raise UnusableEvent("no")

        bot.answers = refuse_first
        side.say("oi", "M1")
        side.say("de novo", "M2")
        assert [each.id for each in await bot.wait_for_events(1)] == ["M2"]

    async def test_a_mistake_of_ours_with_one_event_does_not_make_it_deaf(
        self, side: ChannelUnderTest, bot: Bot
    ) -> None:
        mistakes = iter([ZeroDivisionError()])

        def stumble(event: InboundEvent) -> None:
            if event.id == "M1" and (mistake := next(mistakes, None)):
                raise mistake

        bot.answers = stumble
        side.say("oi", "M1")
        side.say("de novo", "M2")
        assert {each.id for each in await bot.wait_for_events(2)} == {"M1", "M2"}

    async def test_what_is_sent_arrives_in_order(self, side: ChannelUnderTest, bot: Bot) -> None:
        for n in range(5):
            await side.channel.send(Outbound(send_id=f"s-{n}", chat=side.contact, text=f"parte {n} — ação"))
        assert side.received() == [f"parte {n} — ação" for n in range(5)]

    async def test_an_idempotent_send_arrives_once(self, side: ChannelUnderTest, bot: Bot) -> None:
        message = Outbound(send_id="s-1", chat=side.contact, text="uma vez")
        await side.channel.send(message)
        await side.channel.send(message)
        await side.channel.stop()
        later, channel = Bot(), side.restart()
        await channel.start(later.receive, later)
        await later.wait_until_connected()
        await channel.send(message)
        await channel.stop()
        assert side.received() == ["uma vez"] * (1 if side.channel.idempotent_send else 3)

    async def test_what_is_no_text_says_what_it_is(self, side: ChannelUnderTest, bot: Bot) -> None:
        for n, content in enumerate(CONTENTS):
            side.show(content, f"C{n}")
        document = Content(kind="document", name="nota.pdf", detail="application/pdf")
        side.show(document, "D1", "está certo?")
        side.change("D1", "está errado?")
        side.change("D1", "")
        *shown, captioned, edit, deletion = await bot.wait_for_events(len(CONTENTS) + 3)
        assert [each.content for each in shown] == CONTENTS
        assert {(each.kind, each.type, each.text) for each in shown} == {("message", "text", "")}
        assert (captioned.text, captioned.content) == ("está certo?", document)
        assert (edit.kind, edit.target, edit.text, edit.sender) == (
            "edit",
            "D1",
            "está errado?",
            side.contact,
        )
        assert (deletion.kind, deletion.target, deletion.text) == ("deletion", "D1", "")

    async def test_every_kind_of_message_arrives(
        self, side: ChannelUnderTest, bot: Bot, tmp_path: Path
    ) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"OggS" + bytes(range(256)) * 40)
        side.say("oi", "M1")
        await bot.wait_for_events(1)
        assert await side.channel.has_account(side.contact)
        await side.channel.mark_read(side.contact)
        types: tuple[SendType, ...] = ("voice", "audio", "image", "document")
        for type_ in types:
            name = "nota.pdf" if type_ == "document" else ""
            await side.channel.send(
                _outbound(side, type_, file=str(file), file_name=name, media_type="a/b", quote="M1")
            )
        await side.channel.send(_outbound(side, "location", text="Praça", latitude=-23.5, longitude=-46.25))
        quoted = {"quote": "M1", "quoted_sender": side.contact, "quoted_text": "oi"}
        assert await side.channel.send(_outbound(side, "text", text="olá", **quoted))
        await side.channel.send(_outbound(side, "reaction", text="👍", target="M1"))
        *files, place, reply, reaction = side.arrived()
        assert [(each.type, each.file, each.quote) for each in files] == [
            (each, file.read_bytes(), "M1") for each in types
        ]
        assert files[-1].file_name == "nota.pdf"
        assert (place.type, place.text, place.position) == ("location", "Praça", (-23.5, -46.25))
        assert (reply.type, reply.text, reply.quote) == ("text", "olá", "M1")
        assert (reaction.type, reaction.text, reaction.target) == ("reaction", "👍", "M1")

    async def test_typing_never_fails(self, side: ChannelUnderTest, bot: Bot) -> None:
        await side.channel.typing(side.contact, active=True)
        await side.channel.typing(side.contact, active=False)

    async def test_stopping_twice_is_harmless(self, side: ChannelUnderTest, bot: Bot) -> None:
        await side.channel.stop()
        await side.channel.stop()
