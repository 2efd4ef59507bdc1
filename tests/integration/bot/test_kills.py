"""SIGKILL at random points of a conversation: nothing lost, nothing answered twice."""

import random
import time

import pytest

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

LONG_ANSWER = "Temos pão francês, de queijo e de milho, todos feitos hoje. " * 25  # three parts


@pytest.mark.timeout(85)
def test_fifty_kills(bot: BotProcess, gateway: GatewayDouble) -> None:
    _kill_and_check(bot, gateway, kills=50, messages=60)


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_five_hundred_kills(bot: BotProcess, gateway: GatewayDouble) -> None:
    _kill_and_check(bot, gateway, kills=500, messages=600)


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
    conversation = Conversation(bot, chance)
    deaths: list[str] = []
    for kill in range(kills):
        bot.start()
        moment = time.monotonic() + _life_span(chance)
        share = messages * (kill + 1) // kills
        while conversation.count() < share or time.monotonic() < moment:
            if conversation.count() < share:
                conversation.say()
            # The moment of death is random, so there is no condition to wait for.
            time.sleep(min(0.01, max(0.0, moment - time.monotonic())))
        assert bot.is_running(), bot.log.read_text()[-2000:]
        bot.kill()
        deaths.append(_where_it_died(bot))
    gateway.fair_weather()
    bot.start()
    conversation.wait_until_answered(gateway)
    conversation.check(gateway)
    assert conversation.notes
    assert conversation.count() >= messages
    print(f"died with: {sorted(set(deaths))}")
    assert len(set(deaths)) >= 4, "the kills hit the same point every time"
    assert bot.terminate() == 0


def _life_span(chance: random.Random) -> float:
    """Seconds: a start takes about 0.3; most lives end in the middle of the work, some before it begins."""
    return chance.uniform(0.1, 0.4) if chance.random() < 0.2 else chance.uniform(0.3, 1.2)


def _where_it_died(bot: BotProcess) -> str:
    """What was under way, as the journal tells."""
    if not bot.journal("SELECT 1"):
        return "no journal"
    states = bot.journal("SELECT DISTINCT state FROM turns WHERE finished_at IS NULL ORDER BY 1")
    parts = bot.journal("SELECT DISTINCT state FROM parts WHERE state <> 'sent' ORDER BY 1")
    return " ".join(str(each[0]) for each in [*states, *parts]) or "nothing under way"
