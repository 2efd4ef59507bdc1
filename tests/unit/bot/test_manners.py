"""A person's manners, in virtual time: edits, people who take over, nights, machines, the pace of the API."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from orbitbot.bot.channels.channel import Fate, NotSent, Outbound, OutreachLocked, Undeliverable
from orbitbot.bot.journal import Journal
from orbitbot.bot.models import InboundEvent
from orbitbot.bot.night import night_ends
from orbitbot.bot.sending import Sender, new_chats_limit
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.commands import SendMessage
from orbitbot.contracts.reports import (
    Changed,
    Delivery,
    Report,
    SameContact,
    SendOutcome,
    SetAside,
    TakenOver,
)
from tests.unit.bot.virtual_time import EPOCH, run_virtually, virtual_now
from tests.unit.bot.world import QUICK, Life, RecordingChannel, ScriptedGateway, text

ANA, OWN = "5511988887777", "5511900000001"
LONG = "Primeira frase da resposta. " * 60


def reports(gateway: ScriptedGateway) -> list[Report]:
    return [msgspec.json.decode(each, type=Report) for each in gateway.reports]


def change(target: str, new: str, sender: str = ANA, **more: object) -> InboundEvent:
    kind = "edit" if new else "deletion"
    return text(
        99, sender, id=f"change of {target}".replace(" ", "-"), kind=kind, target=target, text=new, **more
    )


def from_phone(words: str, number: int = 50) -> InboundEvent:
    return text(number, OWN, kind="own", chat=ANA, text=words)


def test_an_edit_while_the_answer_is_made(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway(latency=30.0)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0, ANA, text="tem pão?"))
        await asyncio.sleep(10)
        life.receive(change(f"{ANA}.0", "tem bolo?"))
        await life.finish()
        first, second = gateway.turns.values()
        assert [each.text for each in second.members] == ["tem bolo?"]
        assert second.replaces == (first.id,)
        assert [each.send_id for each in channel.arrived] == [f"{second.id}-1"]
        given_up = [each for each in reports(gateway) if isinstance(each, Delivery) and each.turn == first.id]
        assert [(each.state, each.reason) for each in given_up] == [("silenced", "edited")]

    run_virtually(live())


def test_an_edit_of_a_message_that_still_waits(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway()
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0, ANA))
        life.receive(text(1, ANA))
        life.receive(change(f"{ANA}.0", "outra coisa"))
        life.receive(change(f"{ANA}.1", ""))
        await life.finish()
        (turn,) = gateway.turns.values()
        assert ([each.text for each in turn.members], turn.replaces) == (["outra coisa"], ())
        aside = [each for each in reports(gateway) if isinstance(each, SetAside)]
        assert [(each.message_id, each.reason) for each in aside] == [(f"{ANA}.1", "deleted")]

    run_virtually(live())


def test_an_edit_after_the_answer_is_told_once(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway()
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0, ANA, text="às 5"))
        await asyncio.sleep(30)
        life.receive(change(f"{ANA}.0", "às 6"))
        life.receive(change(f"{ANA}.0", "às 6"))
        life.receive(change(f"{ANA}.0", "às 7", sender="5511900009999"))  # somebody else's
        await life.finish()
        changed = [each for each in reports(gateway) if isinstance(each, Changed)]
        assert [(each.old, each.new) for each in changed] == [("às 5", "às 6")]
        assert len(channel.arrived) == 1

    run_virtually(live())


def test_a_person_takes_over_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway(answer=LONG)
        life = Life(
            tmp_path, channel, gateway, BotSettings(typing_characters_per_second=100, max_typing_seconds=6)
        )
        life.receive(text(0, ANA))
        while not channel.arrived:  # noqa: ASYNC110  (virtual time)
            await asyncio.sleep(0.5)
        life.receive(from_phone("Oi, aqui é o Beto"))
        await life.finish()
        assert len(channel.arrived) == 1
        told = reports(gateway)
        (given_up,) = [each for each in told if isinstance(each, Delivery) and each.state == "silenced"]
        assert (given_up.reason, given_up.sent) == ("human_took_over", channel.arrived[0].text)
        (taken,) = [each for each in told if isinstance(each, TakenOver)]
        assert (taken.contact, taken.text, taken.minutes) == (ANA, "Oi, aqui é o Beto", 60.0)

    run_virtually(live())


def test_what_is_not_answered_yet_waits_for_the_gateway_to_know_of_the_person(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway(latency=30.0)
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0, ANA))
        await asyncio.sleep(10)
        life.receive(from_phone("deixa comigo"))
        await asyncio.sleep(1)
        first, *_ = gateway.turns.values()
        await life.finish()
        second = list(gateway.turns.values())[-1]
        assert (second.replaces, [each.id for each in second.members]) == ((first.id,), [f"{ANA}.0"])
        assert [
            each.state for each in reports(gateway) if isinstance(each, Delivery) and each.turn == first.id
        ] == ["silenced"]

    run_virtually(live())


@pytest.mark.parametrize(
    ("words", "kinds"),
    [("/pausar", ["takenOver"]), ("/Retomar ", ["resumed"]), ("bom dia", ["takenOver"])],
)
def test_words_from_the_phone(tmp_path: Path, words: str, kinds: list[str]) -> None:
    async def live() -> None:
        gateway = ScriptedGateway()
        life = Life(tmp_path, RecordingChannel(idempotent_send=True), gateway)
        life.receive(from_phone(words))
        await life.finish()
        told = [msgspec.json.decode(each) for each in gateway.reports]
        assert [each["kind"] for each in told if each["kind"] != "setAside"] == kinds
        if words == "/pausar":
            assert [(each["text"], each["minutes"]) for each in told if each["kind"] == "takenOver"] == [
                ("", None)
            ]

    run_virtually(live())


def test_nobody_takes_over_who_writes_to_a_group_or_wrote_long_ago(tmp_path: Path) -> None:
    async def live() -> None:
        gateway = ScriptedGateway()
        life = Life(tmp_path, RecordingChannel(idempotent_send=True), gateway)
        life.receive(text(1, OWN, kind="own", chat="777@g.us", group=True))
        life.receive(text(2, OWN, kind="own", chat=ANA, sent_at=EPOCH - 3600))
        life.receive(text(3, OWN, kind="own", chat=OWN))
        await life.finish()
        assert {msgspec.json.decode(each)["kind"] for each in gateway.reports} == {"setAside"}

    run_virtually(live())


NIGHT = msgspec.structs.replace(QUICK, night_from="22:00", night_until="07:00", timezone="America/Sao_Paulo")


@pytest.mark.parametrize(
    ("clock", "ends_in"),
    [("21:59", None), ("22:00", 9.0), ("23:30", 7.5), ("00:30", 6.5), ("06:59", 1 / 60), ("07:00", None)],
)
def test_when_the_night_ends(clock: str, ends_in: float | None) -> None:
    hours, minutes = map(int, clock.split(":"))
    midnight = EPOCH - (EPOCH - 3 * 3600) % 86_400  # in São Paulo it is 03:00 UTC
    ends = night_ends(midnight + hours * 3600 + minutes * 60, NIGHT)
    at = midnight + hours * 3600 + minutes * 60
    assert (None if ends is None else round((ends - at) / 3600, 4)) == (
        None if ends_in is None else round(ends_in, 4)
    )
    assert night_ends(at, QUICK) is None


def test_what_comes_at_night_is_answered_together_in_the_morning(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway()
        life = Life(tmp_path, channel, gateway, NIGHT)
        until_night = (22 * 3600 - (EPOCH - 3 * 3600) % 86_400) % 86_400
        await asyncio.sleep(until_night + 60)
        life.receive(text(0, ANA))
        await asyncio.sleep(3600)
        life.receive(text(1, ANA))
        await asyncio.sleep(3600)
        assert channel.arrived == []
        await life.finish()
        (turn,) = gateway.turns.values()
        assert [each.id for each in turn.members] == [f"{ANA}.0", f"{ANA}.1"]
        assert (virtual_now() - 3 * 3600) % 86_400 >= 7 * 3600

    run_virtually(live())


def test_a_machine_that_answers_back_is_left_alone(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway(latency=0.5)
        life = Life(tmp_path, channel, gateway, msgspec.structs.replace(QUICK, loop_turns=5))
        for n in range(12):
            life.receive(text(n, ANA))
            await asyncio.sleep(10)
        assert len(channel.arrived) == 5
        await asyncio.sleep(600)
        life.receive(text(99, ANA))
        await life.finish()
        assert len(channel.arrived) == 6
        loops = [each for each in reports(gateway) if isinstance(each, SetAside) and each.reason == "loop"]
        assert [each.message_id for each in loops] == [f"{ANA}.{n}" for n in range(5, 12)]

    run_virtually(live())


def test_what_waits_under_a_lid_goes_on_under_the_number(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=True), ScriptedGateway()
        life = Life(tmp_path, channel, gateway)
        life.receive(text(0, "955@lid"))
        life.receive(text(1, ANA, alias="955@lid"))
        life.receive(text(2, "955@lid"))
        await life.finish()
        (turn,) = gateway.turns.values()
        assert (turn.contact, turn.chat, len(turn.members)) == (ANA, ANA, 3)
        same = [each for each in reports(gateway) if isinstance(each, SameContact)]
        assert [(each.contact, each.other) for each in same] == [(ANA, "955@lid")]

    run_virtually(live())


# What the API sends


class Network(RecordingChannel):
    """A channel on which a test scripts what a send meets."""

    def __init__(self, *, idempotent_send: bool = False) -> None:
        super().__init__(idempotent_send=idempotent_send)
        self.troubles: list[Exception] = []
        self.absent: set[str] = set()
        self.read: list[str] = []

    async def send(self, message: Outbound) -> str:
        if self.troubles:
            raise self.troubles.pop(0)
        await super().send(message)
        return f"WA-{message.send_id}"

    async def has_account(self, number: str) -> bool:
        return number not in self.absent

    async def mark_read(self, chat: str) -> None:
        self.read.append(chat)


class Files:
    async def fetch_file(self, send: str, target: Path) -> None:
        target.write_bytes(b"a file")  # noqa: ASYNC240  (virtual time stands still)


class Desk:
    """A sender with its journal, in virtual time."""

    def __init__(self, directory: Path, channel: Network, settings: BotSettings = QUICK) -> None:
        self.channel, self.restricted, self.ended = channel, False, []
        self.journal = Journal(directory / "journal.db", now=virtual_now)
        self.sender = Sender(
            self.journal,
            channel,  # type: ignore[arg-type]  # the parts that are used
            Files(),
            directory,
            settings=lambda: settings,
            is_restricted=lambda: self.restricted,
            number=lambda: OWN,
            on_report=lambda: None,
            on_ended=self.ended.append,
            now=virtual_now,
        )
        self.task = asyncio.create_task(self.sender.run())

    def send(self, name: str, to: str = ANA, **more: object) -> None:
        order = SendMessage(**{"send": name, "to": to, "type": "text", "text": name} | more)  # type: ignore[arg-type]
        self.sender.take(order, virtual_now() + 86_400)

    def outcomes(self) -> list[tuple[str, str, str]]:
        told = [msgspec.json.decode(each.body, type=Report) for each in self.journal.next_reports(100)]
        return [(each.send, each.state, each.reason) for each in told if isinstance(each, SendOutcome)]

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.journal.close()


def test_messages_of_the_api_leave_in_order_and_at_a_pace(tmp_path: Path) -> None:
    async def live() -> None:
        desk = Desk(tmp_path, Network())
        for name in ("a", "b", "c"):
            desk.send(name)
            desk.send(name)  # the command comes again
        await asyncio.sleep(3)
        assert [each.text for each in desk.channel.arrived] == ["a", "b"]
        await asyncio.sleep(10)
        assert [each.text for each in desk.channel.arrived] == ["a", "b", "c"]
        assert desk.outcomes() == [(name, "sent", "") for name in ("a", "b", "c")]
        assert desk.journal.note_receipt(["WA-send-a", "stranger"], "read")
        assert not desk.journal.note_receipt(["stranger"], "read")
        await desk.close()

    run_virtually(live())


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (OutreachLocked("463", retry_after=900.0), "outreach_locked"),
        (Undeliverable("406", "whatsapp-406"), "whatsapp-406"),
        (RuntimeError("the connection broke"), "maybe_sent"),
    ],
)
def test_what_may_have_left_or_is_refused_is_not_sent_again(
    tmp_path: Path, trouble: Exception, reason: str
) -> None:
    async def live() -> None:
        desk = Desk(tmp_path, Network())
        desk.channel.troubles = [trouble]
        desk.send("a")
        await asyncio.sleep(3600)
        assert desk.outcomes() == [("a", "failed", reason)]
        assert desk.channel.arrived == []
        await desk.close()

    run_virtually(live())


def test_what_has_not_left_is_tried_again(tmp_path: Path) -> None:
    async def live() -> None:
        desk = Desk(tmp_path, Network())
        desk.channel.troubles = [NotSent("not connected"), NotSent("not connected")]
        desk.send("a")
        await asyncio.sleep(120)
        assert desk.outcomes() == [("a", "waiting", "not_connected"), ("a", "sent", "")]
        await desk.close()

    run_virtually(live())


@pytest.mark.parametrize(
    ("told", "outcome", "arrived"),
    [
        ("unknown", ("a", "failed", "maybe_sent"), 0),
        ("left", ("a", "sent", ""), 0),
        ("not_left", ("a", "sent", ""), 1),
    ],
)
def test_what_became_of_a_message_in_which_the_bot_died(
    tmp_path: Path, told: Fate, outcome: tuple[str, str, str], arrived: int
) -> None:
    async def live() -> None:
        desk = Desk(tmp_path, Network())
        desk.channel.told = told
        desk.journal.keep_send(SendMessage(send="a", to=ANA, type="text", text="a"), virtual_now() + 60)
        desk.journal.begin_send("a")
        desk.sender.look()
        await asyncio.sleep(5)
        assert desk.outcomes() == [outcome]
        assert len(desk.channel.arrived) == arrived
        await desk.close()

    run_virtually(live())


def test_a_new_number_opens_few_chats_a_day_and_replies_to_all(tmp_path: Path) -> None:
    async def live() -> None:
        settings = msgspec.structs.replace(
            QUICK, new_chats_per_day=10, warm_up_days=10, send_pause_seconds=1.0
        )
        desk = Desk(tmp_path, Network(), settings)
        for n in range(5):
            desk.send(f"m{n}", to=f"55119000000{n:02d}")
        await asyncio.sleep(60)
        assert len(desk.channel.arrived) == 3
        assert ("m3", "waiting", "warm_up") in desk.outcomes()
        desk.journal.record(text(0, ANA))
        desk.send("reply")
        await asyncio.sleep(60)
        assert desk.channel.arrived[-1].text == "reply"
        await asyncio.sleep(82_000)
        assert {each.text for each in desk.channel.arrived} >= {"m3", "m4"}
        await desk.close()

    run_virtually(live())


def test_a_restricted_number_only_replies(tmp_path: Path) -> None:
    async def live() -> None:
        desk = Desk(tmp_path, Network())
        desk.restricted = True
        desk.journal.record(text(0, ANA))
        desk.send("reply")
        desk.send("outreach", to="5511900000002")
        await asyncio.sleep(100)
        assert [each.text for each in desk.channel.arrived] == ["reply"]
        assert ("outreach", "waiting", "outreach_locked") in desk.outcomes()
        desk.restricted = False
        await asyncio.sleep(100)
        assert [each.text for each in desk.channel.arrived] == ["reply", "outreach"]
        await desk.close()

    run_virtually(live())


def test_who_is_not_there_is_not_written_to(tmp_path: Path) -> None:
    async def live() -> None:
        desk = Desk(tmp_path, Network())
        desk.channel.absent = {ANA}
        desk.send("a")
        await asyncio.sleep(5)
        assert desk.outcomes() == [("a", "failed", "not_on_whatsapp")]
        await desk.close()

    run_virtually(live())


def test_a_person_who_writes_by_the_api_ends_the_turn_under_way(tmp_path: Path) -> None:
    async def live() -> None:
        desk = Desk(tmp_path, Network())
        desk.journal.record(text(0, ANA))
        desk.journal.fix_turn("t1", desk.journal.pending(ANA))
        desk.send("a", by_person=True)
        assert desk.ended == [ANA]
        assert desk.journal.turn_under_way(ANA) is None
        assert [each.id for each in desk.journal.pending(ANA)] == [f"{ANA}.0"]
        await desk.close()

    run_virtually(live())


def test_files_reads_and_typing(tmp_path: Path) -> None:
    async def live() -> None:
        desk = Desk(tmp_path, Network())
        desk.journal.record(text(0, ANA))
        desk.send("f", type="image", media_size=6, media_type="image/jpeg", quote=f"{ANA}.0")
        desk.send("r", type="read", text="")
        desk.send("t", type="typing", text="")
        await asyncio.sleep(60)
        (sent,) = desk.channel.arrived
        assert (sent.type, sent.quote, sent.quoted_sender, sent.quoted_text) == (
            "image", f"{ANA}.0", ANA, "mensagem 0",
        )  # fmt: skip
        assert list(tmp_path.glob(".send-*")) == []  # noqa: ASYNC240  (virtual time stands still)
        assert desk.channel.read == [ANA]
        assert desk.channel.typed[-2:] == [(ANA, True), (ANA, False)]
        assert [outcome[:2] for outcome in desk.outcomes()] == [("f", "sent"), ("r", "sent"), ("t", "sent")]
        await desk.close()

    run_virtually(live())


@pytest.mark.parametrize(("age", "limit"), [(0.0, 3), (5.5, 20), (13.9, 46), (14.0, 50), (400.0, 50)])
def test_how_a_number_warms_up(age: float, limit: int) -> None:
    assert new_chats_limit(BotSettings(), age) == limit
    assert new_chats_limit(BotSettings(new_chats_per_day=0), age) == 0


def test_a_thousand_contacts_in_a_minute_are_each_answered_once(tmp_path: Path) -> None:
    async def live() -> None:
        channel, gateway = RecordingChannel(idempotent_send=False, latency=0.05), ScriptedGateway(latency=1.0)
        life = Life(tmp_path, channel, gateway)
        for n in range(1000):
            life.receive(text(n, f"55119{n:08d}"))
            await asyncio.sleep(0.06)
        await life.finish()
        assert len(channel.arrived) == len({each.chat for each in channel.arrived}) == 1000
        assert channel.doubles() == {}
        assert gateway.most_at_once <= 16
        delivered = [
            each for each in reports(gateway) if isinstance(each, Delivery) and each.state == "delivered"
        ]
        assert len(delivered) == 1000

    run_virtually(live())
