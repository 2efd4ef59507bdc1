"""Plays a day to one client's bot and accounts for every message: answered once, or silenced with a reason.

The contacts' side is the simulator's telephone and outbox; what became of a message is asked of the ledger,
through the API. While a service is away on purpose (the fault tests) the ledger is simply asked again.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from orbitbot.bot.channels.simulator import SimulatorSent
from orbitbot.bot.channels.simulator_phone import SimulatorPhone
from orbitbot.contracts.messages import FINAL_STATES
from orbitbot.contracts.why import Story
from tests.acceptance.outbox import Outbox, turn_of
from tests.acceptance.scenario import Contact, Exchange, Line
from tests.support.api import Api, ApiError
from tests.support.voices import random_voice, synthesise

POLL: Final = 0.05  # seconds between looks at the outbox
LEDGER_POLL: Final = 0.25  # seconds between questions about one exchange
DELIVERED_TWICE: Final = 5  # the channel delivers one text in so many a second time, as WhatsApp does


def speak_all(contacts: Sequence[Contact], seed: int) -> dict[str, bytes]:
    """The voice notes of the day, by message id, each in a voice that the seed chooses."""
    rng = random.Random(seed)
    return {
        line.id: synthesise(line.said, *random_voice(rng))
        for contact in contacts
        for line in contact.lines
        if line.is_voice
    }


@dataclass
class Play:
    """One exchange that has been sent, and what has become of it. `sent_at` is Unix time in seconds."""

    contact: Contact
    exchange: Exchange
    sent_at: float
    stories: dict[str, Story] = field(default_factory=dict)
    ask_at: float = 0.0

    @property
    def is_final(self) -> bool:
        """Whether the ledger knows the final state of each message."""
        return len(self.stories) == len(self.exchange.lines)

    @property
    def turns(self) -> list[Story]:
        """One story for each turn (or message set aside), in order."""
        found: dict[str, Story] = {}
        for line in self.exchange.lines:
            if line.id in self.stories:
                story = self.stories[line.id]
                found.setdefault(story.turn or story.message_id, story)
        return list(found.values())

    @property
    def as_expected(self) -> bool:
        """Whether it ended as the day's author expected; a language model may answer everything."""
        last = self.stories.get(self.exchange.lines[-1].id)
        if last is None:
            return False
        match self.exchange.expect:
            case "silenced":
                return last.state == "silenced" and last.reason == self.exchange.reason
            case "any":
                return last.state == "delivered"
            case source:
                return last.state == "delivered" and last.source in (source, "provider")


@dataclass
class Account:
    """Where every message of the day has gone; each entry of a list is a sentence about one of them."""

    messages: int
    redelivered: int
    answered: int = 0
    silenced: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    garbled: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing doubled, nothing failed, and each answer arrived as it was given."""
        return not (self.lost or self.doubled or self.failed or self.garbled)

    def complaints(self) -> list[str]:
        """What is not clean, a line each."""
        kinds = {"lost": self.lost, "doubled": self.doubled, "failed": self.failed, "garbled": self.garbled}
        return [f"{kind}: {what}" for kind, found in kinds.items() for what in found]


class Conversation:
    """Sends the day and waits for its answers. `run` once.

    Args:
        api: with an operator's token.
        notes: voice notes by message id (`speak_all`).
        on_final: called with each exchange when the ledger has its final state.
    """

    def __init__(
        self,
        contacts: Sequence[Contact],
        *,
        client_id: str,
        state_directory: Path,
        api: Api,
        notes: Mapping[str, bytes],
        seed: int = 0,
        on_final: Callable[[Play], None] = lambda play: None,
    ) -> None:
        self.plays: list[Play] = []
        self.progress = threading.Event()  # set whenever an exchange has become final
        self.abandoned = threading.Event()  # ends `run` early
        self._contacts = contacts
        self._client_id = client_id
        self._state_directory = state_directory
        self._api = api
        self._notes = notes
        self._on_final = on_final
        self._outbox = Outbox(state_directory)
        self._sent: list[SimulatorSent] = []
        self._next = {contact.number: 0 for contact in contacts}
        self._under_way: dict[str, Play] = {}
        self._unsettled: list[Play] = []
        texts = [line.id for contact in contacts for line in contact.lines if not line.is_voice]
        self._twice = set(random.Random(seed).sample(texts, len(texts) // DELIVERED_TWICE))

    @property
    def is_over(self) -> bool:
        """Everything is sent and final."""
        everything = sum(len(contact.exchanges) for contact in self._contacts)
        return len(self.plays) == everything and all(play.is_final for play in self.plays)

    @property
    def finals(self) -> int:
        """How many exchanges are final."""
        return sum(play.is_final for play in self.plays)

    def run(self, timeout: float) -> Account:
        """Play the whole day; returns the account when all is final, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not (self.is_over or self.abandoned.is_set()) and time.monotonic() < deadline:
            self._sent += self._outbox.new()
            for contact in self._contacts:
                self._step(contact)
            for play in list(self._unsettled):
                self._ask(play)
            time.sleep(POLL)
        return self._account()

    def _step(self, contact: Contact) -> None:
        """Send the contact's next exchange, if the answer to the one before is here."""
        play = self._under_way.get(contact.number)
        if play is not None and not self._is_answered(play):
            return
        self._under_way.pop(contact.number, None)
        position = self._next[contact.number]
        if position == len(contact.exchanges):
            return
        self._next[contact.number] += 1
        exchange = contact.exchanges[position]
        play = Play(contact, exchange, time.time())
        self.plays.append(play)
        self._unsettled.append(play)
        if exchange.expect != "silenced":
            self._under_way[contact.number] = play
        for line in exchange.lines:
            self._send(contact, line)

    def _send(self, contact: Contact, line: Line) -> None:
        phone = SimulatorPhone(self._state_directory, contact.number)
        sent_at = time.time() - contact.age
        if line.is_voice:
            phone.voice(self._notes[line.id], message_id=line.id, sent_at=sent_at)
            return
        for _ in range(2 if line.id in self._twice else 1):
            phone.text(line.text, message_id=line.id, sent_at=sent_at, group=contact.group)

    def _is_answered(self, play: Play) -> bool:
        """Whether all parts of an answer have reached the contact since the exchange was sent."""
        arrived: Counter[str] = Counter()
        for sent in self._sent:
            if sent.to == play.contact.number and sent.sent_at >= play.sent_at:
                arrived[turn_of(sent)] += 1
                if arrived[turn_of(sent)] == sent.parts:
                    return True
        return False

    def _ask(self, play: Play) -> None:
        """Ask the ledger what has become of an exchange whose answer is here, or that needs none."""
        if self._under_way.get(play.contact.number) is play or time.monotonic() < play.ask_at:
            return
        play.ask_at = time.monotonic() + LEDGER_POLL
        for line in reversed(play.exchange.lines):
            story = self._story(line.id)
            if story is None or story.state not in FINAL_STATES:
                return
            play.stories[line.id] = story
        self._unsettled.remove(play)
        self.progress.set()
        self._on_final(play)

    def _story(self, message_id: str) -> Story | None:
        """What the ledger says; None while it does not know, or cannot be asked."""
        try:
            return self._api.story(self._client_id, message_id)
        except httpx.TransportError:
            return None
        except ApiError as error:
            if error.status >= httpx.codes.INTERNAL_SERVER_ERROR:
                return None
            raise

    def _account(self) -> Account:
        self._sent += self._outbox.new()
        account = Account(sum(len(contact.lines) for contact in self._contacts), len(self._twice))
        for contact in self._contacts:
            for position, exchange in enumerate(contact.exchanges):
                if position >= self._next[contact.number]:
                    account.lost += [
                        f"{line.id} of {contact.number} was never sent" for line in exchange.lines
                    ]
        for play in self.plays:
            self._account_for(play, account)
        self._account_for_parts(account)
        return account

    def _account_for(self, play: Play, account: Account) -> None:
        for line in play.exchange.lines:
            story = play.stories.get(line.id) or self._story(line.id)
            about = f"{line.id} of {play.contact.number}"
            if story is not None and story.state in FINAL_STATES:
                play.stories[line.id] = story
            if story is None:
                account.lost.append(f"{about}: the ledger does not know it")
            elif story.state == "delivered":
                account.answered += 1
            elif story.state == "silenced":
                account.silenced[story.reason] += 1
            elif story.state == "failed":
                account.failed.append(f"{about}: {story.reason}")
            else:
                account.lost.append(f"{about}: still {story.state}")
        if play.is_final and not play.as_expected:
            ends = ", ".join(f"{turn.state} {turn.reason or turn.source}" for turn in play.turns)
            wanted = f"{play.exchange.expect} {play.exchange.reason}".strip()
            account.unexpected.append(f"{play.contact.number}: {ends} instead of {wanted}")

    def _account_for_parts(self, account: Account) -> None:
        """Compare what reached the contacts with the answers in the ledger, both ways."""
        turns = {story.turn: story for play in self.plays for story in play.turns if story.turn}
        own_ids = {line.id for contact in self._contacts for line in contact.lines}
        parts: dict[str, list[SimulatorSent]] = {}
        for sent in self._sent:
            parts.setdefault(turn_of(sent), []).append(sent)
        for turn, story in turns.items():
            if story.state != "delivered":
                continue
            arrived = sorted(parts.pop(turn, []), key=lambda sent: sent.part)
            if not arrived:
                account.lost.append(f"turn {turn} counts as delivered, but nothing has arrived")
            elif [sent.part for sent in arrived] != list(range(1, arrived[0].parts + 1)):
                account.doubled.append(f"turn {turn}: parts {[sent.part for sent in arrived]}")
            elif "".join("".join(sent.text for sent in arrived).split()) != "".join(story.response.split()):
                account.garbled.append(f"turn {turn}: the contact read something else than was answered")
        for turn, arrived in parts.items():  # to turns that are not of this day, or were not delivered
            stray = self._story(turn)
            if stray is None or not own_ids.isdisjoint(stray.messages):
                account.doubled.append(
                    f"turn {turn}: {len(arrived)} messages that the ledger does not account for"
                )
