"""A real bot against every way in which a gateway can fail it: each message is answered once, none twice."""

import random
import threading

import pytest

from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.messages import Member, PostMessage
from orbitbot.contracts.reports import Delivery
from tests.integration.bot.bot_process import BotProcess
from tests.integration.bot.conversation import Conversation
from tests.support.gateway_double import (
    Call,
    DropAfter,
    DropBefore,
    Fault,
    Garbage,
    GatewayDouble,
    Hang,
    Interrupted,
    Later,
    Status,
)
from tests.support.net import wait_for

NUMBER = "5511987654321"


def ask(bot: BotProcess, gateway: GatewayDouble, timeout: float = 20.0) -> None:
    """One text and one voice note from one contact: answered once, and all accounted for."""
    conversation = Conversation(bot, random.Random(7), contacts=1)
    for _ in range(4):
        conversation.say()
    assert conversation.notes, "choose a seed with a voice note in it"
    conversation.wait_until_answered(gateway, timeout)
    conversation.check(gateway)


def test_a_turn_that_is_being_taken_does_not_count_as_delivered(gateway: GatewayDouble) -> None:
    """The double's own: seen between two steps of taking the first turn, there was none left to deliver."""
    seen: list[bool] = []

    def look_meanwhile(post: PostMessage) -> str:
        look = threading.Thread(target=lambda: seen.append(gateway.has_delivered({post.members[0].id})))
        look.start()
        look.join(0.2)
        return "oi"

    gateway.answer = look_meanwhile
    post = PostMessage(
        message="oi",
        type="text",
        from_=NUMBER,
        members=[Member(id="M1", type="text", sent_at=1.0, journaled_at=1.0, text="oi")],
    )
    gateway.post("turn", post, {}, b"", 0.0)
    wait_for(lambda: seen, "it has looked")
    assert seen == [False]


@pytest.mark.parametrize(
    ("call", "faults"),
    [
        ("messages", [Status(503), Status(500), Status(502)]),
        ("messages", [Status(503, retry_after=1)]),
        ("messages", [Status(429, retry_after=1)]),
        ("messages", [Status(409, problem="in-progress"), Status(404), Status(408), Status(425)]),
        ("messages", [DropBefore(), DropBefore()]),
        ("messages", [DropAfter(), DropAfter()]),
        ("messages", [Hang(10.0)]),
        ("messages", [Garbage()]),
        ("messages", [Interrupted(), Interrupted()]),
        ("turns", [Interrupted()]),
        ("turns", [DropAfter()]),
        ("turns", [Status(404)]),
        ("turns", [Status(503)]),
        ("turns", [Hang(10.0)]),
        ("turns", [Garbage()]),
        ("token", [Status(503), Status(429, retry_after=1), DropBefore(), DropAfter(), Garbage()]),
        ("token", [Hang(10.0)]),
        ("reports", [Status(503), DropBefore(), DropAfter(), Garbage(), Status(429, retry_after=1)]),
        ("reports", [Hang(10.0)]),
        ("bot", [Status(503), DropBefore(), Garbage(), Status(403)]),
    ],
    ids=str,
)
def test_each_fault_is_survived(
    bot: BotProcess, gateway: GatewayDouble, call: Call, faults: list[Fault]
) -> None:
    if call == "turns":
        gateway.script("messages", Later(0.3))
    gateway.script(call, *faults)
    bot.start()
    ask(bot, gateway)
    wait_for(lambda: gateway.scripted(call) == 0, "every fault was met")


def test_a_turn_that_takes_long_is_waited_for_and_posted_once(
    bot: BotProcess, gateway: GatewayDouble
) -> None:
    gateway.script("messages", Later(3.0))
    bot.start()
    ask(bot, gateway)
    (turn,) = gateway.turns.values()
    assert turn.posts == 1
    assert 2 <= gateway.calls["turns"] <= 6, "polls are held back by the gateway, not repeated in haste"


def test_a_gateway_that_does_not_hold_polls_back_is_not_overrun(
    bot: BotProcess, gateway: GatewayDouble
) -> None:
    gateway.holds_polls = False
    gateway.script("messages", Later(3.0))
    bot.start()
    ask(bot, gateway)
    assert 2 <= gateway.calls["turns"] <= 5


def test_a_gateway_that_is_away_is_waited_for(bot: BotProcess, gateway: GatewayDouble) -> None:
    bot.start()
    wait_for(lambda: gateway.statuses, "the bot has begun")
    with gateway.away():
        conversation = Conversation(bot, random.Random(1), contacts=3)
        for _ in range(12):
            conversation.say()
        wait_for(lambda: not bot.inbox(), "everything journaled without a gateway")
        wait_for(lambda: "turn not answered yet" in bot.log.read_text(), "it tried")
    conversation.wait_until_answered(gateway)
    conversation.check(gateway)


def test_a_bot_started_while_the_gateway_is_away_runs_on_its_last_settings(
    bot: BotProcess, gateway: GatewayDouble
) -> None:
    gateway.settings = BotSettings(
        config_version=3, quiet_seconds=0.1, typing_characters_per_second=0, muted=True
    )
    bot.start()
    wait_for(lambda: gateway.statuses and bot.journal("SELECT 1 FROM state"), "the settings are kept")
    assert bot.terminate() == 0
    with gateway.away():
        bot.start()
        message = bot.phone(NUMBER).text("alguém aí?")
        wait_for(lambda: not bot.inbox(), "it was taken")
    wait_for(lambda: gateway.set_aside() == {message: "muted"}, "it was set aside by the settings of before")
    assert gateway.turns == {}


def test_settings_change_without_a_restart(bot: BotProcess, gateway: GatewayDouble) -> None:
    gateway.settings = BotSettings(config_version=1, quiet_seconds=600, burst_seconds=600)
    bot.start()
    wait_for(lambda: bot.journal("SELECT 1 FROM state"), "the first settings are there")
    bot.phone(NUMBER).text("oi")
    wait_for(lambda: not bot.inbox(), "it was taken")
    gateway.settings = BotSettings(
        config_version=2, quiet_seconds=0, burst_seconds=0, typing_characters_per_second=0
    )
    bot.phone(NUMBER).wait(lambda received: len(received) == 1, timeout=25.0)  # a sign of life takes 15 s


def test_a_token_that_is_no_longer_taken_is_renewed(bot: BotProcess, gateway: GatewayDouble) -> None:
    bot.start()
    wait_for(lambda: gateway.statuses, "the bot has begun")
    assert len(gateway.tokens) == 1
    gateway.revoke_tokens()
    ask(bot, gateway)
    assert len(gateway.tokens) == 2


def test_a_turn_that_is_refused_for_good_fails_and_is_reported(
    bot: BotProcess, gateway: GatewayDouble
) -> None:
    gateway.script("messages", Status(422, problem="unprocessable"))
    bot.start()
    bot.phone(NUMBER).text("isto não")
    failed = wait_for(
        lambda: [each for each in gateway.reports if isinstance(each, Delivery)], "the failure is reported"
    )
    assert [(each.state, each.reason) for each in failed] == [("failed", "unprocessable")]
    assert gateway.calls["messages"] == 1
    ask(bot, gateway)  # and the next turn of the same contact is not held up


def test_a_silenced_turn_sends_nothing(bot: BotProcess, gateway: GatewayDouble) -> None:
    gateway.decide = lambda post: ("silenced", "human_took_over") if "pessoa" in post.message else None
    bot.start()
    phone = bot.phone(NUMBER)
    phone.text("quero uma pessoa")
    wait_for(
        lambda: bot.journal("SELECT 1 FROM turns WHERE state = 'silenced'"), "it is final in the journal"
    )
    phone.text("e agora?")
    (answer,) = phone.wait(lambda received: len(received) == 1, timeout=10.0)
    assert answer.text == "Resposta a: e agora?"
    assert len(gateway.turns) == 2


def test_what_is_set_aside_is_reported_once_with_its_reason(bot: BotProcess, gateway: GatewayDouble) -> None:
    gateway.settings = BotSettings(
        quiet_seconds=0.1, fleet_numbers=["5511900000001"], typing_characters_per_second=0
    )
    gateway.script("reports", DropAfter())
    bot.start()
    wait_for(lambda: bot.journal("SELECT 1 FROM state"), "the settings are there")
    phone, neighbour = bot.phone(NUMBER), bot.phone("5511900000001")
    expected = {
        phone.text("no grupo", group="120363@g.us"): "group",
        phone.text("meu status", kind="status"): "status_broadcast",
        phone.text("eu mesmo", kind="own"): "own_message",
        phone.text("de ontem", sent_at=1_700_000_000.0): "too_old",
        neighbour.text("sou um bot"): "fleet_number",
    }
    for message_id in expected:
        phone.text("de novo", message_id=message_id)
    wait_for(lambda: gateway.set_aside() == expected, "every one is reported")
    wait_for(lambda: not bot.inbox() and not bot.journal("SELECT 1 FROM reports"), "nothing is left")
    assert gateway.turns == {}
    assert len(gateway.reports) <= 2 * len(expected), "one batch was repeated, because its answer was lost"


def test_hundreds_of_messages_at_once_through_bad_weather(bot: BotProcess, gateway: GatewayDouble) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed: {seed}")
    gateway.weather(
        random.Random(seed),
        0.3,
        [
            Status(503),
            Status(429, retry_after=1),
            Later(0.2),
            Interrupted(),
            DropBefore(),
            DropAfter(),
            Garbage(),
        ],
    )
    conversation = Conversation(bot, random.Random(seed), contacts=40)
    for _ in range(200):
        conversation.say()
    bot.start()
    conversation.wait_until_answered(gateway, timeout=60)
    conversation.check(gateway)
