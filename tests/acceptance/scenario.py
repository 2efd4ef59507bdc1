"""The day of `day.toml`, with the seed's words filled in: contacts, their turns, and the messages of each."""

import random
import re
import string
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

DAY_FILE: Final = Path(__file__).with_name("day.toml")

Expectation = Literal["faq", "any", "no_answer", "silenced"]

_PLACE = re.compile(r"\{(\w+)\}")
_ID_CHARACTERS: Final = string.digits + "ABCDEF"
_ID_LENGTH: Final = 20  # WhatsApp's message ids look like this


class Line(msgspec.Struct, frozen=True):
    """One message to be sent. `said` is what a voice note's speaker says; a text has `text` instead."""

    id: str
    text: str = ""
    said: str = ""

    @property
    def is_voice(self) -> bool:
        """Whether this is a voice note."""
        return bool(self.said)


class Exchange(msgspec.Struct, frozen=True):
    """A burst of one contact, and what must become of it."""

    lines: tuple[Line, ...]
    expect: Expectation
    reason: str = ""  # why it is silenced


class Contact(msgspec.Struct, frozen=True):
    """Somebody who writes to the shop.

    Attributes:
        number: telephone number in digits.
        exchanges: in order; each waits for the answer to the one before.
        group: the group that the messages are written in, if any.
        age: how long ago, in seconds, the messages were sent by the channel's clock.
    """

    number: str
    exchanges: tuple[Exchange, ...]
    group: str = ""
    age: float = 0.0

    @property
    def lines(self) -> list[Line]:
        """All messages, in order."""
        return [line for exchange in self.exchanges for line in exchange.lines]


class _Spoken(msgspec.Struct, forbid_unknown_fields=True):
    say: str


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    messages: list[str | list[str] | _Spoken]
    expect: Expectation
    reason: str = ""


class _Contact(msgspec.Struct, forbid_unknown_fields=True):
    number: str
    turns: list[_Turn]
    group: str = ""
    age_hours: float = 0.0


class _Day(msgspec.Struct, forbid_unknown_fields=True):
    words: dict[str, list[str]]
    contact: list[_Contact]


def load_day(seed: int, path: Path = DAY_FILE) -> list[Contact]:
    """The day with the people and words that `seed` chooses.

    Message ids are new at every call, whatever the seed. Other people each day: who wrote day after day
    within minutes would be taken for a machine.
    """
    day = msgspec.toml.decode(path.read_bytes(), type=_Day)
    rng = random.Random(seed)
    people = random.Random(f"people {seed}").randrange(10**6)
    return [
        Contact(
            number=f"55119{people:06d}{contact.number[-2:]}",
            exchanges=tuple(_exchange(turn, day.words, rng) for turn in contact.turns),
            group=contact.group,
            age=contact.age_hours * 3600,
        )
        for contact in day.contact
    ]


def new_message_id() -> str:
    """A message id that was never used before."""
    return "3EB0" + "".join(random.SystemRandom().choices(_ID_CHARACTERS, k=_ID_LENGTH - 4))


def _exchange(turn: _Turn, words: dict[str, list[str]], rng: random.Random) -> Exchange:
    return Exchange(
        lines=tuple(_line(message, words, rng) for message in turn.messages),
        expect=turn.expect,
        reason=turn.reason,
    )


def _line(message: Any, words: dict[str, list[str]], rng: random.Random) -> Line:
    if isinstance(message, _Spoken):
        return Line(id=new_message_id(), said=_fill(message.say, words, rng))
    text = rng.choice(message) if isinstance(message, list) else message
    return Line(id=new_message_id(), text=_fill(text, words, rng))


def _fill(text: str, words: dict[str, list[str]], rng: random.Random) -> str:
    return _PLACE.sub(lambda place: rng.choice(words[place[1]]), text)
