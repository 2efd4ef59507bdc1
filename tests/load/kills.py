"""Bots that are killed at random moments between a message's receipt and the mark that it was answered.

What became of each message is counted at the contact: answered once, lost, or answered twice.
"""

import dataclasses
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.messages import PostMessage
from orbitbot.contracts.reports import Delivery
from tests.integration.bot.bot_process import BotProcess
from tests.support.gateway_double import GatewayDouble
from tests.support.net import wait_for
from tests.whatsapp.handle import WhatsApp
from tests.whatsapp.linking import link

CONTACTS = 4
READY = 60.0  # seconds for a bot to be able to take a message
SETTLED = 60.0  # seconds for the last bot to answer what is left
STILL = 20.0  # seconds without news after which what is not answered is lost; twice the wait for a receipt
PHONE = 0.2  # seconds until a contact's phone has said that it has a message
STARTING = 0.15  # share of the kills that hit a bot while it starts

SETTINGS = BotSettings(
    quiet_seconds=0.1,
    burst_seconds=1.0,
    loop_turns=1000,
    typing_characters_per_second=500,
    max_typing_seconds=0.1,
)


class World(Protocol):
    """A bot, and the contacts at the other end of its channel."""

    bot: BotProcess
    gateway: GatewayDouble

    def is_ready(self) -> bool:
        """Whether the bot started last can take a message."""
        ...

    def say(self, number: str, text: str, message_id: str) -> None:
        """A contact writes."""
        ...

    def received(self, number: str) -> list[str]:
        """The texts that reached the contact."""
        ...

    def acknowledged(self) -> dict[str, float]:
        """When the channel was told that it need not deliver a message again; empty where nobody can know."""
        ...

    def close(self) -> None:
        """End everything."""
        ...


class SimulatorWorld:
    """The simulator channel."""

    def __init__(self, directory: Path) -> None:
        self.gateway = GatewayDouble(settings=SETTINGS)
        self.gateway.start()
        self.bot = BotProcess(directory, self.gateway)
        self.bot.make_directories()

    def is_ready(self) -> bool:
        return self.bot.has_started()

    def say(self, number: str, text: str, message_id: str) -> None:
        self.bot.phone(number).text(text, message_id=message_id)

    def received(self, number: str) -> list[str]:
        return [each.text for each in self.bot.phone(number).received()]

    def acknowledged(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        self.bot.clean_up()
        self.gateway.stop()


class WhatsAppWorld:
    """The real neonize, on a local WhatsApp server."""

    def __init__(self, directory: Path, whatsapp: WhatsApp, number: str) -> None:
        self._whatsapp = whatsapp
        self._number = number
        self._logins = 0
        self.gateway = GatewayDouble(settings=SETTINGS)
        self.gateway.start()
        self.bot = BotProcess(directory, self.gateway, channel="neonize", environment=whatsapp.environment())
        link(whatsapp, self.bot.state, number)
        whatsapp.delay_receipts(number, PHONE)

    def is_ready(self) -> bool:
        device = next(each for each in self._whatsapp.devices() if each.number == self._number)
        if device.ready and device.logins > self._logins:
            self._logins = device.logins
            return True
        return False

    def say(self, number: str, text: str, message_id: str) -> None:
        self._whatsapp.say(self._number, number, text, message_id=message_id)

    def received(self, number: str) -> list[str]:
        return [each.text for each in self._whatsapp.sent(self._number) if each.to == number and each.text]

    def acknowledged(self) -> dict[str, float]:
        receipts = self._whatsapp.receipts(self._number)
        delivered = [each for each in receipts if each.kind not in {"read", "played"}]
        times: dict[str, float] = {}
        for receipt in delivered:
            for message_id in receipt.ids:
                times.setdefault(message_id, receipt.at)
        return times

    def close(self) -> None:
        self.bot.clean_up()
        self.gateway.stop()


@dataclass
class Account:
    """What became of the messages.

    Attributes:
        lost: ids of messages that were never answered.
        early: those of them that the channel had been told not to deliver again.
        doubles: answers that a contact got more than once, each further time counted.
        flagged: turns whose report says `maybe_repeated`.
        unflagged: doubled turns without that flag.
        windows: seconds from the acknowledgement to the journal, of each message that got there; negative
            where the journal came first.
        died_with: what was under way at the kills.
    """

    kills: int = 0
    messages: int = 0
    lost: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    doubles: int = 0
    flagged: int = 0
    unflagged: int = 0
    windows: list[float] = field(default_factory=list)
    died_with: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Account") -> "Account":
        return Account(
            *(getattr(self, each.name) + getattr(other, each.name) for each in dataclasses.fields(self))
        )


def run(world: World, *, kills: int, seed: int) -> Account:
    """Kill the bot so many times, let it answer what is left, and account for every message."""
    chance = random.Random(seed)
    account = Account()
    said: dict[str, str] = {}
    world.gateway.answer = _answer
    span = _span(world, said)
    for _ in range(kills):
        world.bot.start()
        if chance.random() < STARTING:
            _say(world, said, chance)
            time.sleep(chance.uniform(0.0, 0.4))  # a random moment: there is no condition to wait for
        else:
            wait_for(world.is_ready, "the bot can take a message", READY)
            _say(world, said, chance)
            time.sleep(chance.uniform(0.0, span))  # as above
        assert world.bot.is_running(), world.bot.log.read_text()[-2000:]
        world.bot.kill()
        account.kills += 1
        account.died_with[where_it_died(world.bot)] += 1
    world.bot.start()
    wait_for(world.is_ready, "the last bot is there", READY)
    _settle(world, said)
    assert world.bot.terminate(timeout=20.0) == 0
    return _count(world, said, account)


def _answer(post: PostMessage) -> str:
    return "Resposta a " + " ".join(each.id for each in post.members)


def _span(world: World, said: dict[str, str]) -> float:
    """Seconds from a message to the mark that it was answered, of a bot that is left in peace."""
    world.bot.start()
    wait_for(world.is_ready, "the bot can take a message", READY)
    took = []
    for n in range(3):
        began = time.monotonic()
        _say(world, said, random.Random(n))
        wait_for(lambda: _delivered(world.gateway) == len(world.gateway.turns) == len(took) + 1, "an answer")
        took.append(time.monotonic() - began)
    world.bot.kill()
    return sorted(took)[1]


def _say(world: World, said: dict[str, str], chance: random.Random) -> None:
    message_id = f"K{len(said):05d}"
    number = f"55119000000{chance.randrange(CONTACTS):02d}"
    said[message_id] = number
    world.say(number, f"Pergunta {message_id}", message_id)


def _delivered(gateway: GatewayDouble) -> int:
    return sum("delivered" in gateway.deliveries(turn) for turn in list(gateway.turns))


def _settle(world: World, said: dict[str, str]) -> None:
    """Until everything is answered, or nothing new has come for some time."""
    progress, since, began = -1, time.monotonic(), time.monotonic()
    while time.monotonic() - began < SETTLED:
        present = len(world.gateway.messages) + _delivered(world.gateway)
        if world.gateway.has_delivered(set(said)):
            return
        if present != progress:
            progress, since = present, time.monotonic()
        if time.monotonic() - since > STILL and world.bot.is_running() and not world.bot.inbox():
            return
        time.sleep(0.05)
    raise TimeoutError(
        f"after {SETTLED} s {len(said) - len(world.gateway.messages)} messages are not answered"
    )


def _count(world: World, said: dict[str, str], account: Account) -> Account:
    assert world.gateway.wrong == []
    account.messages = len(said)
    arrived = Counter(text for number in sorted(set(said.values())) for text in world.received(number))
    answered: set[str] = set()
    flags = {
        report.turn
        for report in world.gateway.reports
        if isinstance(report, Delivery) and report.maybe_repeated
    }
    for turn in world.gateway.turns.values():
        times = arrived[turn.answer]
        if times:
            answered |= {each.id for each in turn.post.members}
        if times > 1:
            account.doubles += times - 1
            account.unflagged += turn.id not in flags
    account.flagged = len(flags)
    acknowledged = world.acknowledged()
    account.lost = sorted(said.keys() - answered)
    account.early = [each for each in account.lost if each in acknowledged]
    journaled = dict(world.bot.journal("SELECT id, journaled_at FROM inbound"))
    account.windows = [
        float(str(journaled[each])) - at for each, at in acknowledged.items() if each in journaled
    ]
    return account


def where_it_died(bot: BotProcess) -> str:
    """What was under way, as the journal tells."""
    if not bot.journal("SELECT 1"):
        return "no journal"
    pending = bot.journal("SELECT 1 FROM inbound WHERE turn_id IS NULL AND set_aside IS NULL LIMIT 1")
    states = bot.journal("SELECT DISTINCT state FROM turns WHERE finished_at IS NULL ORDER BY 1")
    parts = bot.journal("SELECT DISTINCT state FROM parts WHERE state <> 'sent' ORDER BY 1")
    words = [*(["journaled"] if pending else []), *(str(each[0]) for each in [*states, *parts])]
    return " ".join(words) or "nothing under way"


def side_by_side(make: Callable[[int], World], *, kills: int, worlds: int, seed: int) -> list[Account]:
    """Run several worlds at once, each with its share of the kills; each one's account."""

    def one(number: int) -> Account:
        world = make(number)
        try:
            return run(world, kills=kills // worlds + (number < kills % worlds), seed=seed + number)
        finally:
            world.close()

    with ThreadPoolExecutor(worlds) as pool:
        return list(pool.map(one, range(worlds)))
