"""A conversation of several contacts with one bot, and the account of it afterwards."""

import hashlib
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from orbitbot.bot.channels.simulator import SimulatorSent
from tests.integration.bot.bot_process import BotProcess
from tests.support.gateway_double import GatewayDouble
from tests.support.net import wait_for


@dataclass
class Conversation:
    """What was said.

    Attributes:
        redelivered: share of the messages that are delivered twice.
        said: contact → message ids in order.
        notes: message id → SHA-256 of the voice note.
    """

    bot: BotProcess
    random: random.Random
    contacts: int = 5
    redelivered: float = 0.2
    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, str] = field(default_factory=dict)

    def count(self) -> int:
        return sum(len(ids) for ids in self.said.values())

    def say(self) -> str:
        """One contact says or records something; sometimes it is delivered twice. Returns the message id."""
        number = f"55119000000{self.random.randrange(self.contacts):02d}"
        phone = self.bot.phone(number)
        n = self.count()
        if self.random.random() < 0.25:
            note = self.random.randbytes(self.random.randrange(1, 40_000))
            message_id = phone.voice(note, message_id=f"V{n}")
            self.notes[message_id] = hashlib.sha256(note).hexdigest()
        else:
            message_id = phone.text(f"Pergunta {n}: tem pão?", message_id=f"T{n}")
        self.said[number].append(message_id)
        if self.random.random() < self.redelivered:
            phone.text("delivered again", message_id=message_id)
        return message_id

    def wait_until_answered(self, gateway: GatewayDouble, timeout: float = 40.0) -> None:
        """Until every message is in a turn, and every turn reported as delivered."""
        said = {each for ids in self.said.values() for each in ids}
        wait_for(
            lambda: gateway.has_delivered(said), "every message answered and every delivery reported", timeout
        )

    def check(self, gateway: GatewayDouble) -> None:
        """Nothing lost, nothing answered twice, nothing changed on the way, nothing left over."""
        assert gateway.wrong == []
        assert self.bot.inbox() == []
        assert list((self.bot.state / "simulator/inbox/rejected").iterdir()) == []
        in_turns = Counter(each.id for turn in gateway.turns.values() for each in turn.post.members)
        assert in_turns == Counter(each for ids in self.said.values() for each in ids)
        for number, said in self.said.items():
            turns = [turn for turn in gateway.turns.values() if turn.post.from_ == number]
            assert [each.id for turn in turns for each in turn.post.members] == said, "order of a contact"
            arrived = self.bot.phone(number).received()
            assert [_words(each.text) for each in arrived] == [
                _words(part) for turn in turns for part in _parts_of(arrived, turn.id)
            ]
            for turn in turns:
                parts = [each for each in arrived if each.id.startswith(f"{turn.id}-")]
                assert [each.part for each in parts] == list(range(1, parts[0].parts + 1))
                assert _words(" ".join(each.text for each in parts)) == _words(turn.answer)
        for turn in gateway.turns.values():
            assert gateway.deliveries(turn.id) == ["delivering", "delivered"]
            voices = {each.id for each in turn.post.members if each.type == "voice"}
            assert turn.notes == {each: self.notes[each] for each in voices}
        wait_for(lambda: not list((self.bot.state / "media").iterdir()), "voice notes of final turns removed")
        wait_for(lambda: not self.bot.journal("SELECT 1 FROM reports"), "every report accepted")


def _parts_of(arrived: list[SimulatorSent], turn_id: str) -> list[str]:
    return [each.text for each in arrived if each.id.startswith(f"{turn_id}-")]


def _words(text: str) -> list[str]:
    return text.split()
