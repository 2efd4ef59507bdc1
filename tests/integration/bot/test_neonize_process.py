"""The whole bot on WhatsApp: the real process, the real neonize, the local server, a gateway's double."""

import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.pairing import QrShown
from orbitbot.contracts.reports import Delivery
from tests.integration.bot.bot_process import BotProcess
from tests.support.gateway_double import GatewayDouble, Later
from tests.support.net import wait_for
from tests.whatsapp.handle import WhatsApp
from tests.whatsapp.linking import link

BOT = "5511900000001"
ANA, BETO = "5521988887777", "5521988886666"


@pytest.fixture
def bot(tmp_path: Path, gateway: GatewayDouble, whatsapp: WhatsApp) -> Iterator[BotProcess]:
    """A bot with a linked phone, not started; its contacts are answered quickly."""
    gateway.settings = BotSettings(
        config_version=1, quiet_seconds=0.2, burst_seconds=1.0, typing_characters_per_second=2000
    )
    process = BotProcess(tmp_path, gateway, "neonize", whatsapp.environment())
    link(whatsapp, process.state, BOT)
    yield process
    process.clean_up()


def connected(bot: BotProcess, gateway: GatewayDouble) -> None:
    """Start it, and wait until the gateway knows that it is connected."""
    seen = len(gateway.statuses)
    bot.start()
    wait_for(
        lambda: any(each.state == "connected" for each in gateway.statuses[seen:]), "connected", timeout=60
    )


def texts(whatsapp: WhatsApp, number: str) -> list[str]:
    return [each.text for each in whatsapp.sent(BOT) if each.to == number]


def delivered(gateway: GatewayDouble) -> Delivery | None:
    """The report of a delivery, once there is one."""
    reports = [each for each in gateway.reports if isinstance(each, Delivery)]
    return next((each for each in reports if each.state == "delivered"), None)


def test_a_conversation_from_the_code_to_a_clean_end(
    tmp_path: Path, gateway: GatewayDouble, whatsapp: WhatsApp
) -> None:
    gateway.settings = BotSettings(quiet_seconds=0.2, typing_characters_per_second=2000)
    gateway.answer = lambda post: f"uma resposta secreta a: {post.message or 'voz'}"
    bot = BotProcess(tmp_path, gateway, "neonize", whatsapp.environment())
    try:
        began = time.monotonic()
        bot.start()
        code = wait_for(
            lambda: next((each for each in gateway.pairings if isinstance(each, QrShown)), None),
            "the gateway has a code to show",
            timeout=60,
        )
        print(f"from start to code: {time.monotonic() - began:.2f} s")
        whatsapp.scan(code.text, BOT)
        wait_for(lambda: whatsapp.is_ready(BOT), "it is ready", timeout=90)
        whatsapp.say(BOT, ANA, "uma pergunta secreta")
        note = random.Random(3).randbytes(30_000)
        whatsapp.record(BOT, BETO, note)
        wait_for(lambda: texts(whatsapp, ANA) and texts(whatsapp, BETO), "both are answered", timeout=60)
        assert texts(whatsapp, ANA) == ["uma resposta secreta a: uma pergunta secreta"]
        assert texts(whatsapp, BETO) == ["uma resposta secreta a: voz"]
        status = gateway.statuses[-1]
        assert (status.channel, status.state, status.number) == ("neonize", "connected", BOT)
        assert status.phone_seen_at is not None
        began = time.monotonic()
        assert bot.terminate() == 0
        assert time.monotonic() - began < 2.0
        log = bot.log.read_text()
        assert "Traceback" not in log
        for secret in ("secreta", ANA, BETO, BOT, gateway.credential["secret"], code.text.split(",")[3]):
            assert secret not in log
        for path in (bot.state / "neonize").iterdir():
            assert not path.stat().st_mode & 0o077, path
    finally:
        bot.clean_up()


@pytest.mark.parametrize("has_said_so", [True, False], ids=["receipt", "no receipt"])
def test_an_answer_whose_bot_died_in_its_send(
    bot: BotProcess, gateway: GatewayDouble, whatsapp: WhatsApp, *, has_said_so: bool
) -> None:
    """It is sent again, and flagged, unless the contact's phone has said that it has it."""
    whatsapp.contact(ANA, sends_receipts=False)
    connected(bot, gateway)
    whatsapp.lose_acknowledgements(BOT, 1)
    whatsapp.say(BOT, ANA, "Tem pão?")
    wait_for(lambda: texts(whatsapp, ANA), "the answer has left", timeout=60)
    bot.kill()
    (sent,) = whatsapp.sent(BOT)
    if has_said_so:
        whatsapp.read_receipt(BOT, ANA, sent.id)  # it waits for the bot to come back
    bot.start()
    report = wait_for(lambda: delivered(gateway), "it is reported", timeout=60)
    assert report.maybe_repeated is not has_said_so
    assert len(texts(whatsapp, ANA)) == (1 if has_said_so else 2)


def test_an_answer_whose_bot_died_before_it_left_is_no_double(
    bot: BotProcess, gateway: GatewayDouble, whatsapp: WhatsApp
) -> None:
    gateway.settings = BotSettings(config_version=1, quiet_seconds=0.2, typing_characters_per_second=0)
    with bot.settings_file.open("a") as file:
        file.write("probe_answer_seconds = 2.0\n")  # and so long it waits to have marked the question as read
    gateway.script("messages", Later(1.0))
    connected(bot, gateway)
    whatsapp.say(BOT, ANA, "Tem pão?")
    wait_for(lambda: gateway.turns, "the question is posted", timeout=60)
    before = whatsapp.lookups(BOT)
    whatsapp.delay(BOT, 600)  # the send asks for ANA's devices, and gets no answer
    wait_for(lambda: whatsapp.lookups(BOT) > before, "it is being sent", timeout=60)
    assert bot.journal("SELECT state FROM parts") == [("sending",)]
    bot.kill()
    assert texts(whatsapp, ANA) == []
    whatsapp.delay(BOT, 0)
    bot.start()
    report = wait_for(lambda: delivered(gateway), "it is reported", timeout=60)
    assert not report.maybe_repeated
    assert len(texts(whatsapp, ANA)) == 1


def test_sigterm_while_it_waits_for_a_phone_ends_it_cleanly_within_two_seconds(
    tmp_path: Path, gateway: GatewayDouble, whatsapp: WhatsApp
) -> None:
    bot = BotProcess(tmp_path, gateway, "neonize", whatsapp.environment())
    try:
        bot.start()
        wait_for(whatsapp.waiting_to_be_paired, "it waits", timeout=60)
        wait_for(
            lambda: gateway.statuses and gateway.statuses[-1].state == "waiting_for_pairing", "and says so"
        )
        began = time.monotonic()
        assert bot.terminate() == 0
        assert time.monotonic() - began < 2.0
        assert gateway.statuses[-1].state == "stopping"
    finally:
        bot.clean_up()


def test_redelivered_three_times_shuffled_and_across_restarts_each_is_answered_once(
    bot: BotProcess, gateway: GatewayDouble, whatsapp: WhatsApp
) -> None:
    chance = random.Random(11)
    connected(bot, gateway)
    said = [
        whatsapp.say(BOT, chance.choice([ANA, BETO]), f"mensagem {n}", message_id=f"M{n}") for n in range(8)
    ]
    wait_for(lambda: set(gateway.messages) == set(said), "all are posted", timeout=60)
    for round_ in range(3):
        shuffled = chance.sample(said, len(said))
        if round_ == 1:
            assert bot.terminate() == 0
            whatsapp.redeliver(BOT, shuffled)  # they wait for the bot to come back
            connected(bot, gateway)
        else:
            whatsapp.redeliver(BOT, shuffled)
        wait_for(lambda: not whatsapp.devices()[0].waiting, "all are acknowledged", timeout=30)
    whatsapp.say(BOT, ANA, "a última", message_id="END")
    wait_for(lambda: "END" in gateway.messages, "the last one is posted", timeout=30)
    in_turns = Counter(each.id for turn in gateway.turns.values() for each in turn.post.members)
    assert in_turns == Counter([*said, "END"])
    for turn in gateway.turns.values():
        wait_for(lambda id_=turn.id: "delivered" in gateway.deliveries(id_), "each is delivered", timeout=30)
    answers = Counter(each.text for each in whatsapp.sent(BOT))
    assert set(answers.values()) == {1}, answers


@pytest.mark.parametrize(
    "outage",
    [
        pytest.param(5.0, id="seconds"),
        pytest.param(600.0, id="ten minutes", marks=[pytest.mark.faults, pytest.mark.timeout(1200)]),
    ],
)
def test_a_gateway_that_is_away_and_a_restart_in_between_lose_nothing(
    bot: BotProcess, gateway: GatewayDouble, whatsapp: WhatsApp, outage: float
) -> None:
    """Contacts write all the while; the bot is ended and started in the middle of it."""
    connected(bot, gateway)
    began = time.monotonic()
    said: dict[str, list[str]] = {ANA: [], BETO: []}
    with gateway.away():
        for n in range(10):
            number = (ANA, BETO)[n % 2]
            if n % 5 == 3:
                said[number].append(whatsapp.record(BOT, number, b"OggS" * (500 + n), message_id=f"V{n}"))
            else:
                said[number].append(whatsapp.say(BOT, number, f"pergunta {n}", message_id=f"M{n}"))
            wait_for(
                lambda n=n: len(bot.journal("SELECT 1 FROM inbound")) == n + 1, "it is journaled", timeout=60
            )
            if n == 5:
                assert bot.terminate() == 0
                bot.start()
                wait_for(bot.has_started, "it runs without a gateway", timeout=30)
            time.sleep(max(0.0, began + (n + 1) * outage / 10 - time.monotonic()))  # the outage itself
    everything = {each for ids in said.values() for each in ids}
    wait_for(lambda: gateway.has_delivered(everything), "all are answered", timeout=90)
    assert gateway.wrong == []
    for number, ids in said.items():
        turns = [turn for turn in gateway.turns.values() if turn.post.from_ == number]
        assert [each.id for turn in turns for each in turn.post.members] == ids, "order of a contact"
        assert texts(whatsapp, number) == [turn.answer for turn in turns]


def test_a_voice_note_is_fetched_once_and_its_contact_is_told_if_it_never_comes(
    bot: BotProcess, gateway: GatewayDouble, whatsapp: WhatsApp
) -> None:
    connected(bot, gateway)
    note = b"OggS" + random.Random(5).randbytes(20_000)
    whatsapp.break_media(on=False)
    first = whatsapp.record(BOT, ANA, note, message_id="V1")
    wait_for(lambda: first in gateway.messages, "the first is posted", timeout=30)
    too_large = whatsapp.record(BOT, BETO, note, message_id="V2", claimed_size=64_000_000)
    wait_for(lambda: too_large in gateway.messages, "the one that claims too much is posted", timeout=30)
    assert len(whatsapp.media_fetched()) == 1
    notes = {key: value for turn in gateway.turns.values() for key, value in turn.notes.items()}
    assert set(notes) == {"V1"}


def test_numbers_in_whatsmeows_log_lines_are_masked(
    bot: BotProcess, gateway: GatewayDouble, whatsapp: WhatsApp
) -> None:
    connected(bot, gateway)
    whatsapp.contact(ANA, answers_retries=False)
    whatsapp.say_undecryptable(BOT, ANA, "nunca")
    wait_for(lambda: "could not be read" in bot.log.read_text(), "it is told", timeout=30)
    wait_for(lambda: "Error decrypting" in bot.log.read_text(), "by whatsmeow, too", timeout=30)
    assert bot.terminate() == 0
    for line in bot.log.read_text().splitlines():
        assert not re.search(r"5521\d{6}", line), line
