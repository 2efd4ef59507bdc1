"""The contract of every channel, over the real neonize and the local WhatsApp server."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from orbitbot.bot.models import Content
from tests.integration.bot.channel_host import HostedChannel
from tests.unit.bot.channel_contract import Arrived, ChannelContract
from tests.whatsapp import messages
from tests.whatsapp.handle import WhatsApp
from tests.whatsapp.linking import link

BOT = "5511900000001"
_NUMBERS = itertools.count(1)


class NeonizeSide:
    """A linked session, and a contact at the other end of WhatsApp."""

    def __init__(self, directory: Path, whatsapp: WhatsApp) -> None:
        self.contact = f"55119876{next(_NUMBERS):05d}"  # each test's own: the session is everybody's
        self.whatsapp = whatsapp
        self.directory = directory / "neonize"
        self.channel = self.restart()

    def restart(self) -> HostedChannel:
        return HostedChannel(self.directory, self.whatsapp.environment())

    def say(self, text: str, message_id: str) -> None:
        self.whatsapp.say(BOT, self.contact, text, message_id=message_id)

    def record(self, note: bytes, message_id: str) -> None:
        self.whatsapp.record(BOT, self.contact, note, message_id=message_id)

    def show(self, content: Content, message_id: str, text: str = "") -> None:
        makers = {
            "location": lambda: messages.place(
                *(content.position or (0.0, 0.0)), content.name, content.detail
            ),
            "contact": lambda: messages.card(content.name, content.detail),
            "document": lambda: messages.document(content.name, content.detail, text),
            "sticker": messages.sticker,
            "poll": lambda: messages.poll(content.name, *content.detail.split(" / ")),
        }
        self.whatsapp.say_raw(BOT, self.contact, makers[content.kind](), message_id=message_id)

    def change(self, message_id: str, text: str) -> None:
        chat = f"{BOT}@s.whatsapp.net"
        made = messages.edit(message_id, chat, text) if text else messages.deletion(message_id, chat)
        self.whatsapp.say_raw(BOT, self.contact, made)

    def received(self) -> list[str]:
        return [each.text for each in self.whatsapp.sent(BOT) if each.to == self.contact]

    def arrived(self) -> list[Arrived]:
        return [
            Arrived(
                type=("voice" if each.name == "voice" else "audio") if each.kind == "audio" else each.kind,
                text=each.text,
                quote=each.quote,
                target=each.target,
                file=each.media,
                file_name=each.name if each.kind == "document" else "",
                position=each.position,
            )
            for each in self.whatsapp.sent(BOT)
            if each.to == self.contact
        ]


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, WhatsApp]]:
    """A session that is linked once for all tests: that costs 812 keys."""
    directory = tmp_path_factory.mktemp("linked")
    with WhatsApp() as whatsapp:
        link(whatsapp, directory, BOT)
        yield directory, whatsapp
        assert whatsapp.unreadable() == []


@pytest.fixture
def side(linked: tuple[Path, WhatsApp]) -> NeonizeSide:
    """Not started."""
    return NeonizeSide(*linked)


class TestNeonize(ChannelContract):
    """The contract."""
