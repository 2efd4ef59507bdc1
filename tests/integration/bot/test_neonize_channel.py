"""The contract of every channel, over the real neonize and the local WhatsApp server."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.bot.channel_host import HostedChannel
from tests.unit.bot.channel_contract import ChannelContract
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

    def received(self) -> list[str]:
        return [each.text for each in self.whatsapp.sent(BOT) if each.to == self.contact]


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
