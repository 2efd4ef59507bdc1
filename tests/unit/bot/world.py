"""A whole bot in virtual time: the real journal, receiver, turn-taking and delivery, between a scripted
gateway and a recording channel. `crash` ends it between two steps, as SIGKILL would; another one goes on from
the journal.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from orbitbot.bot.channels.channel import Fate, NotSent, Observer, Outbound, Receive, Undeliverable
from orbitbot.bot.delivery import Deliverer
from orbitbot.bot.gateway import Outcome
from orbitbot.bot.journal import Journal
from orbitbot.bot.media import MediaStore
from orbitbot.bot.models import InboundEvent, QueuedReport, Turn
from orbitbot.bot.receiving import Receiver
from orbitbot.bot.reports import ReportQueue
from orbitbot.bot.turns import TurnTaker
from orbitbot.contracts.bot import BotSettings
from tests.unit.bot.virtual_time import virtual_now

QUICK = BotSettings(typing_characters_per_second=0)


class RecordingChannel:
    """Counts at the contact what arrives.

    Args:
        latency: seconds before and again after the message has left, in which a bot may die.
        trouble: send ids whose next send fails: `not_sent`, `refused` for good, or `broken` (it may have
            left, and has).

    Attributes:
        told: what it tells of sends that broke off; None: it cannot tell now.
        asked: for each time that it was asked, since when sends of it can have begun.
    """

    def __init__(self, *, idempotent_send: bool, latency: float = 0.0) -> None:
        self.idempotent_send = idempotent_send
        self.acknowledges_early = False
        self.latency = latency
        self.trouble: dict[str, str] = {}
        self.told: Fate | None = "unknown"
        self.asked: list[float] = []
        self.arrived: list[Outbound] = []
        self.typed: list[tuple[str, bool]] = []

    async def start(self, receive: Receive, observer: Observer) -> None:
        observer.set_state("connected")

    async def stop(self) -> None: ...

    async def send(self, message: Outbound) -> str:
        await asyncio.sleep(self.latency)
        trouble = self.trouble.pop(message.send_id, "")
        if trouble == "refused":
            raise Undeliverable("WhatsApp refuses the message: 406", "whatsapp-406")
        if trouble == "not_sent":
            raise NotSent("no network")
        if not (self.idempotent_send and any(each.send_id == message.send_id for each in self.arrived)):
            self.arrived.append(message)
        if trouble == "broken":
            raise RuntimeError("the library lost the connection after it had sent")
        await asyncio.sleep(self.latency)
        return message.send_id

    async def fate(self, message: Outbound, since: float) -> Fate:
        self.asked.append(since)
        if self.told is None:
            raise NotSent("not connected")
        return self.told

    async def typing(self, chat: str, *, active: bool) -> None:
        self.typed.append((chat, active))

    def doubles(self) -> Counter[str]:
        """Turn id → messages that arrived more than once."""
        counts = Counter(each.send_id for each in self.arrived)
        return Counter(
            {send_id.rpartition("-")[0]: count - 1 for send_id, count in counts.items() if count > 1}
        )


class ScriptedGateway:
    """Answers every turn after `latency` virtual seconds, and watches how many run at once."""

    def __init__(self, latency: float = 1.0, answer: str = "Pois não.") -> None:
        self.latency = latency
        self.reply = Outcome("answered", response=answer)
        self.turns: dict[str, Turn] = {}
        self.running: Counter[str] = Counter()
        self.most_at_once = 0
        self.reports: list[bytes] = []

    async def answer(self, turn: Turn) -> Outcome:
        known = self.turns.setdefault(turn.id, turn)
        assert known.members == turn.members, "a turn changed its members"
        assert not self.running[turn.contact], "two turns of one contact are under way"
        self.running[turn.contact] += 1
        self.most_at_once = max(self.most_at_once, self.running.total())
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.running[turn.contact] -= 1
        return self.reply

    async def send_reports(self, reports: Sequence[QueuedReport]) -> None:
        await asyncio.sleep(0.01)
        self.reports.extend(each.body for each in reports)


class Life:
    """One process's life; the state directory, channel and gateway outlive it."""

    def __init__(
        self,
        directory: Path,
        channel: RecordingChannel,
        gateway: ScriptedGateway,
        settings: BotSettings = QUICK,
    ) -> None:
        self.settings = settings
        self.journal = Journal(directory / "journal.db", now=virtual_now)
        self.media = MediaStore(directory / "media")
        self.reports = ReportQueue(self.journal, gateway)
        deliverer = Deliverer(
            self.journal, channel, settings=lambda: self.settings, on_report=self.reports.notify
        )
        self.turns = TurnTaker(
            self.journal,
            gateway,
            deliverer,
            settings=lambda: self.settings,
            on_report=self.reports.notify,
            on_media_free=lambda: None,
            on_idle=lambda contact: None,
            now=virtual_now,
        )
        self._receiver = Receiver(
            self.journal,
            self.media,
            settings=lambda: self.settings,
            on_pending=self.turns.notify,
            on_report=self.reports.notify,
            on_ended=self.turns.turn_ended,
            now=virtual_now,
        )
        self._reporting = asyncio.create_task(self.reports.run())
        self.turns.start()

    def receive(self, event: InboundEvent) -> None:
        self._receiver.receive(event)

    async def finish(self) -> None:
        """Let everything come to its end, and stop."""
        while self.journal.contacts_with_work() or self.journal.next_reports(1):  # noqa: ASYNC110
            await asyncio.sleep(1)  # in virtual time, which makes it cheaper than an event
        await self.crash()

    async def crash(self) -> None:
        """End every task where it stands, with no grace for what is under way."""
        for _ in range(3):  # a task that shields another ends only when the other has ended
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.journal.close()


def text(number: int, contact: str = "5511", **more: object) -> InboundEvent:
    """The contact's message with this number."""
    values: dict[str, object] = {
        "id": f"{contact}.{number}",
        "chat": contact,
        "sender": contact,
        "type": "text",
        "sent_at": virtual_now(),
        "text": f"mensagem {number}",
    }
    return InboundEvent(**(values | more))  # type: ignore[arg-type]  # keywords come by name
