"""A full disk: what cannot be journaled is not acknowledged, what was acknowledged is not lost."""

import random
import resource

from tests.integration.bot.bot_process import BotProcess
from tests.integration.bot.conversation import Conversation
from tests.support.gateway_double import GatewayDouble
from tests.support.net import wait_for

LIMIT = 300_000  # bytes; no file of the bot may grow beyond: SQLite sees EFBIG as it would see ENOSPC


def test_a_full_disk_refuses_loudly_and_loses_nothing(bot: BotProcess, gateway: GatewayDouble) -> None:
    conversation = Conversation(bot, random.Random(5), contacts=4, redelivered=0)
    bot.start(before_exec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY)))
    wait_for(lambda: gateway.statuses, "the bot has begun")

    def full() -> bool:
        conversation.say()
        return bot.log.read_text().count("message not taken") >= 3

    wait_for(full, "messages are refused because the journal is full", timeout=40)
    assert bot.is_running(), "it goes on trying"
    for _ in range(5):
        conversation.say()
    wait_for(bot.inbox, "what is not journaled stays in the inbox")
    assert '"level":"critical"' in bot.log.read_text()
    wait_for(
        lambda: any("journal:" in status.reason for status in gateway.statuses),
        "the gateway is told",
        timeout=30,
    )
    taken = {each for ids in conversation.said.values() for each in ids}
    journaled = {each[0] for each in bot.journal("SELECT id FROM inbound")}
    assert journaled < taken

    # An operator makes room, and restarts it.
    bot.kill()
    bot.start()
    conversation.wait_until_answered(gateway)
    conversation.check(gateway)
    assert bot.terminate() == 0
