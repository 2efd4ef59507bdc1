"""The conversation's account notices what is lost, doubled, failed or garbled: else it proves nothing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orbitbot.bot.channels.simulator import SimulatorSent
from orbitbot.contracts.why import Story
from tests.acceptance.conversation import Account, Conversation
from tests.acceptance.scenario import Contact, Exchange, Line

NUMBER = "5511900000001"
ANSWER = "Bom dia! Como posso ajudar?"
TIMEOUT = 1.0  # seconds


class Ledger:
    """Knows the stories it is given; stands for the API."""

    def __init__(self, *stories: Story) -> None:
        self._stories = {name: story for story in stories for name in (story.message_id, story.turn)}

    def story(self, client_id: str, message_id: str) -> Story | None:
        return self._stories.get(message_id)


def story(**fields: Any) -> Story:
    """A delivered turn `t1` of the message `m1`, with what is given instead."""
    known: dict[str, Any] = {
        "client_id": "c1", "message_id": "m1", "type": "text", "contact": NUMBER, "state": "delivered",
        "stages": [], "turn": "t1", "messages": ["m1"], "response": ANSWER, "source": "faq",
    }  # fmt: skip
    return Story(**(known | fields))


def part(text: str = ANSWER, turn: str = "t1", number: int = 1, parts: int = 1) -> SimulatorSent:
    """A message that the bot has sent."""
    return SimulatorSent(
        id=f"{turn}-{number}", to=NUMBER, text=text, sent_at=time.time() + 60, part=number, parts=parts
    )


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Account]:
    """Plays a day of one message; `arrived` is in the outbox as soon as it was sent."""

    def run(stories: list[Story], arrived: list[SimulatorSent]) -> Account:
        for name in ("inbox", "outbox", "media"):
            (tmp_path / "simulator" / name).mkdir(parents=True)
        contact = Contact(NUMBER, (Exchange((Line("m1", text="oi"),), "any"),))
        ledger: Any = Ledger(*stories)
        conversation = Conversation([contact], client_id="c1", state_directory=tmp_path, api=ledger, notes={})
        for sent in arrived:
            (tmp_path / "simulator" / "outbox" / f"{sent.id}.json").write_bytes(msgspec.json.encode(sent))
        account = conversation.run(TIMEOUT)
        assert len(list((tmp_path / "simulator" / "inbox").glob("*.json"))) == 1
        return account

    return run


def test_answered_once(play: Callable[..., Account]) -> None:
    account = play([story()], [part()])

    assert account.is_clean
    assert (account.messages, account.answered) == (1, 1)


def test_in_two_parts(play: Callable[..., Account]) -> None:
    account = play([story()], [part("Bom dia!", parts=2), part("Como posso ajudar?", number=2, parts=2)])

    assert account.is_clean


def test_silenced(play: Callable[..., Account]) -> None:
    account = play([story(state="silenced", reason="muted", turn="")], [])

    assert account.silenced == {"muted": 1}


@pytest.mark.parametrize(
    ("stories", "arrived", "kind"),
    [
        ([], [], "lost"),
        ([story(state="answering")], [], "lost"),
        ([story()], [], "lost"),
        ([story(state="failed", reason="x")], [part()], "failed"),
        ([story()], [part(), part(turn="t2")], "doubled"),
        ([story(), story(turn="t2", message_id="other")], [part(), part(turn="t2")], "doubled"),
        ([story()], [part(parts=2), part(number=2, parts=2), part(number=3, parts=2)], "doubled"),
        ([story()], [part("Boa noite.")], "garbled"),
    ],
    ids=[
        "the ledger does not know it",
        "not final",
        "delivered, but nothing arrived",
        "failed",
        "an answer that the ledger does not know",
        "a second turn of the same message",
        "a part too many",
        "something else arrived",
    ],
)
def test_not_clean(
    play: Callable[..., Account], stories: list[Story], arrived: list[SimulatorSent], kind: str
) -> None:
    account = play(stories, arrived)

    assert not account.is_clean
    assert getattr(account, kind), account


def test_an_answer_of_an_earlier_day_is_not_this_days(play: Callable[..., Account]) -> None:
    earlier = story(turn="t0", message_id="m0", messages=["m0"])

    assert play([story(), earlier], [part(), part(turn="t0")]).is_clean
