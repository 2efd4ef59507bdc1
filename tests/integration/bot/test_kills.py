"""SIGKILL at random points of a conversation: nothing lost, nothing answered twice."""

import random
import time
from collections import Counter

import pytest

from orbitbot.contracts.bot import BotSettings
from tests.integration.bot.bot_process import BotProcess
from tests.integration.bot.conversation import Conversation
from tests.support.gateway_double import (
    DropAfter,
    DropBefore,
    GatewayDouble,
    Interrupted,
    Later,
    Status,
)
from tests.support.net import wait_for

LONG_ANSWER = "Temos pão francês, de queijo e de milho, todos feitos hoje. " * 25  # three parts


@pytest.mark.timeout(300)
def test_twenty_kills(bot: BotProcess, gateway: GatewayDouble) -> None:
    _kill_and_check(bot, gateway, kills=20, messages=60)


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_five_hundred_kills(bot: BotProcess, gateway: GatewayDouble) -> None:
    _kill_and_check(bot, gateway, kills=500, messages=1500)


def _kill_and_check(bot: BotProcess, gateway: GatewayDouble, *, kills: int, messages: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed: {seed}")
    chance = random.Random(seed)
    gateway.answer = lambda post: f"{post.message or 'voz'} {LONG_ANSWER * chance.randrange(2)}"
    gateway.weather(
        random.Random(seed + 1),
        0.15,
        [Status(503), Status(500), Later(0.3), Interrupted(), DropBefore(), DropAfter()],
    )
    # Typing stretches the delivery, so that deaths fall into it too.
    gateway.settings = BotSettings(
        quiet_seconds=0.1,
        burst_seconds=1.0,
        loop_turns=1000,
        typing_characters_per_second=2000,
        max_typing_seconds=0.15,
    )
    conversation = Conversation(bot, chance)
    deaths: list[str] = []
    for kill in range(kills):
        share = messages * (kill + 1) // kills
        while conversation.count() < share - 1:
            conversation.say()
        bot.start()
        if chance.random() < 0.8:  # the others die while they start
            wait_for(bot.has_started, "the bot has started")
        conversation.say()
        time.sleep(chance.uniform(0.0, 0.5))  # a random moment: there is no condition to wait for
        assert bot.is_running(), bot.log.read_text()[-2000:]
        bot.kill()
        deaths.append(_where_it_died(bot))
    gateway.fair_weather()
    bot.start()
    conversation.wait_until_answered(gateway)
    conversation.check(gateway)
    assert conversation.notes
    assert conversation.count() >= messages
    print(f"died with: {Counter(deaths)}")
    assert len(set(deaths)) >= 4, "the kills hit the same point every time"
    assert bot.terminate() == 0


def _where_it_died(bot: BotProcess) -> str:
    """What was under way, as the journal tells."""
    if not bot.journal("SELECT 1"):
        return "no journal"
    states = bot.journal("SELECT DISTINCT state FROM turns WHERE finished_at IS NULL ORDER BY 1")
    parts = bot.journal("SELECT DISTINCT state FROM parts WHERE state <> 'sent' ORDER BY 1")
    return " ".join(str(each[0]) for each in [*states, *parts]) or "nothing under way"
