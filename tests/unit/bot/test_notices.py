"""Telling a contact that its turn takes long: once, also after a restart, and never at the turn's expense."""

import asyncio
from pathlib import Path

from orbitbot.bot.channels.channel import NotSent, Outbound
from orbitbot.bot.journal import Journal
from orbitbot.bot.models import InboundEvent, Turn
from orbitbot.bot.notices import Notifier
from tests.unit.bot.world import RecordingChannel

TEXT = "Recebi o seu áudio."


def turn_of(journal: Journal) -> Turn:
    """A turn under way."""
    journal.record(InboundEvent(id="m", chat="55@c", sender="55", type="text", text="oi", sent_at=1.7e9))
    journal.fix_turn("t", journal.pending("55"))
    turn = journal.turn_under_way("55")
    assert turn is not None
    return turn


async def settled(notifier: Notifier) -> None:
    """Wait until everything is sent."""
    await asyncio.gather(*notifier._sending)


async def test_the_contact_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    journal, channel = Journal(tmp_path / "journal.db"), RecordingChannel(idempotent_send=False)
    turn = turn_of(journal)
    first, second = Notifier(journal, channel), Notifier(journal, channel)

    first.tell(turn, TEXT)
    first.tell(turn, TEXT)
    await settled(first)
    second.tell(turn, TEXT)
    await settled(second)

    assert [(each.chat, each.text, each.send_id) for each in channel.arrived] == [("55@c", TEXT, "t-notice")]
    journal.close()


async def test_a_notice_that_is_not_sent_harms_nothing(tmp_path: Path) -> None:
    class Away(RecordingChannel):
        async def send(self, message: Outbound) -> None:
            raise NotSent("not connected")

    journal = Journal(tmp_path / "journal.db")
    turn = turn_of(journal)
    notifier = Notifier(journal, Away(idempotent_send=False))

    notifier.tell(turn, TEXT)
    await settled(notifier)

    assert journal.turn_under_way("55") == turn
    journal.close()


def test_the_mark_goes_with_its_turn(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    turn = turn_of(journal)
    assert journal.note_notice(turn.id)
    assert not journal.note_notice(turn.id)

    journal.finish_turn(turn.id, "failed")
    journal.trim(before=4e9)

    assert journal.note_notice(turn.id)
    journal.close()
