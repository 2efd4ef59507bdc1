"""The bot does what it is told, links a phone, and gives way to another host."""

import os
import time

from orbitbot.bot.channels.simulator_account import SimulatorAccount
from orbitbot.bot.channels.simulator_owner import OwnersPhone
from orbitbot.contracts.commands import LogOut, Pair, PhoneCode, RefreshSettings, Restart
from orbitbot.contracts.pairing import Paired, PairingFailed, PhoneCodeShown, QrShown, RoundOver
from tests.integration.bot.bot_process import BotProcess
from tests.support.gateway_double import GatewayDouble, Status
from tests.support.net import wait_for

NUMBER = "5511912345678"
SHORT = SimulatorAccount(linked=False, codes=3, first_seconds=1.0, later_seconds=0.3)


def owner_of(bot: BotProcess) -> OwnersPhone:
    return OwnersPhone(bot.state, NUMBER)


def start_unlinked(bot: BotProcess, account: SimulatorAccount | None = None) -> OwnersPhone:
    owner = owner_of(bot)
    owner.unlink(account)
    bot.start()
    return owner


def wait_for_state(gateway: GatewayDouble, state: str) -> None:
    wait_for(lambda: gateway.statuses and gateway.statuses[-1].state == state, f"the state {state}", 20)


def last_code(gateway: GatewayDouble, kind: type[QrShown] | type[PhoneCodeShown]) -> str:
    def shown() -> bool:
        return bool(gateway.pairings) and isinstance(gateway.pairings[-1], kind)

    wait_for(shown, f"a {kind.__name__}", 20)
    event = gateway.pairings[-1]
    assert isinstance(event, QrShown | PhoneCodeShown)
    return event.text


def wait_for_result(gateway: GatewayDouble, command: int, state: str) -> str:
    wait_for(lambda: gateway.results.get(command), f"a result of command {command}", 20)
    (result,) = gateway.results[command]
    assert result.state == state, result.detail
    return result.detail


def test_a_phone_is_linked_by_its_qr_code_and_then_answered(gateway: GatewayDouble, bot: BotProcess) -> None:
    owner = start_unlinked(bot)
    wait_for_state(gateway, "waiting_for_pairing")
    bot.phone("5511900000001").text("Tem pão?")
    code = last_code(gateway, QrShown)
    (event,) = gateway.pairings
    assert isinstance(event, QrShown)
    assert (event.round, event.index, event.codes) == (1, 1, 6)
    assert 40 < event.seconds <= 60
    owner.link("another code")
    owner.link(code)
    wait_for_state(gateway, "connected")
    wait_for(lambda: gateway.pairings[-1] == Paired(number=NUMBER), "the bot says that it is paired")
    assert gateway.statuses[-1].number == NUMBER
    wait_for(lambda: gateway.turns, "the message that waited is posted", 20)
    assert bot.terminate() == 0
    bot.start()  # the next process finds the phone linked
    wait_for_state(gateway, "connected")


def test_a_round_that_nobody_scans_ends_and_another_is_asked_for(
    gateway: GatewayDouble, bot: BotProcess
) -> None:
    start_unlinked(bot, SHORT)
    wait_for(lambda: gateway.pairings and gateway.pairings[-1] == RoundOver(round=1), "the round is over", 20)
    wait_for_result(gateway, gateway.give(Pair()), "done")
    wait_for(lambda: gateway.pairings[-1] == RoundOver(round=2), "the second round is over", 20)
    shown = [(each.round, each.index) for each in gateway.pairings if isinstance(each, QrShown)]
    assert shown == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]


def test_a_phone_is_linked_by_the_code_that_is_typed(gateway: GatewayDouble, bot: BotProcess) -> None:
    owner = start_unlinked(bot, SimulatorAccount(refused_numbers=["5511999999999"]))
    wait_for_state(gateway, "waiting_for_pairing")
    refused = gateway.give(PhoneCode("5511999999999"))
    assert "no code for this number" in wait_for_result(gateway, refused, "failed")
    wait_for(lambda: isinstance(gateway.pairings[-1], PairingFailed), "the bot says that it failed")
    wait_for_result(gateway, gateway.give(PhoneCode(NUMBER)), "done")
    code = last_code(gateway, PhoneCodeShown)
    assert len(code) == 8
    owner.link(code)
    wait_for_state(gateway, "connected")
    detail = wait_for_result(gateway, gateway.give(Pair()), "failed")
    assert "linked already" in detail


def test_logging_out_and_pairing_again(gateway: GatewayDouble, bot: BotProcess) -> None:
    owner = start_unlinked(bot)
    owner.link(last_code(gateway, QrShown))
    wait_for_state(gateway, "connected")
    wait_for_result(gateway, gateway.give(LogOut()), "done")
    wait_for_state(gateway, "logged_out")
    assert gateway.statuses[-1].number == ""
    wait_for_result(gateway, gateway.give(Pair()), "done")
    owner.link(last_code(gateway, QrShown))
    wait_for_state(gateway, "connected")
    owner.log_out()
    wait_for_state(gateway, "logged_out")
    assert gateway.statuses[-1].reason == "logged out on the phone"


def test_a_restart_is_acknowledged_and_done_once(gateway: GatewayDouble, bot: BotProcess) -> None:
    bot.start()
    wait_for_state(gateway, "connected")
    wait_for_result(gateway, gateway.give(Restart()), "done")
    assert bot.wait() == 0
    bot.start()
    wait_for_state(gateway, "connected")
    wait_for_result(gateway, gateway.give(RefreshSettings()), "done")
    assert bot.is_running()


def test_a_restart_that_cannot_be_acknowledged_waits(gateway: GatewayDouble, bot: BotProcess) -> None:
    bot.start()
    wait_for_state(gateway, "connected")
    gateway.script("results", Status(503), Status(503))
    command = gateway.give(Restart())
    assert bot.wait() == 0
    assert [each.state for each in gateway.results[command]] == ["done"]


def test_an_expired_command_is_not_carried_out(gateway: GatewayDouble, bot: BotProcess) -> None:
    bot.start()
    wait_for_state(gateway, "connected")
    assert "expired" in wait_for_result(gateway, gateway.give(Restart(), lifetime=-1.0), "failed")
    assert bot.is_running()


def test_changed_settings_are_fetched_when_told(gateway: GatewayDouble, bot: BotProcess) -> None:
    bot.start()
    wait_for_state(gateway, "connected")
    gateway.settings.muted = True
    wait_for_result(gateway, gateway.give(RefreshSettings()), "done")
    # The sign of life brings the settings; the one after it says what they make of the state.
    wait_for_result(gateway, gateway.give(RefreshSettings()), "done")
    wait_for_state(gateway, "paused")


def test_a_lower_generation_ends_the_bot_for_good(gateway: GatewayDouble, bot: BotProcess) -> None:
    bot.start()
    wait_for_state(gateway, "connected")
    gateway.generation = 1
    gateway.give(RefreshSettings())
    assert bot.wait(30) == os.EX_CONFIG
    before = len(gateway.statuses)
    began = time.monotonic()
    bot.start()  # another attempt ends before anything is connected, and late enough for supervisor
    assert bot.wait(30) == os.EX_CONFIG
    assert time.monotonic() - began >= 3.0
    assert len(gateway.statuses) == before
    assert not bot.has_started()


def test_a_bot_runs_on_its_stored_generation_while_the_gateway_is_away(
    gateway: GatewayDouble, bot: BotProcess
) -> None:
    bot.settings_file.write_text(bot.settings_file.read_text() + "generation = 3\n")
    with gateway.away():
        bot.start()
        wait_for(bot.has_started, "the bot has started without its gateway", 20)
        assert bot.is_running()
    gateway.generation = 3
    wait_for_state(gateway, "connected")
    assert gateway.statuses[-1].generation == 3
