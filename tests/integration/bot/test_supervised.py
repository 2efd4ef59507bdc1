"""A real bot under a real supervisord, by its program file's rules: which ends are followed by a start."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orbitbot.bot.channels.simulator_owner import OwnersPhone
from orbitbot.contracts.commands import Restart
from tests.ansible.conftest import REPOSITORY
from tests.integration.bot.bot_process import BotProcess
from tests.support.gateway_double import GatewayDouble
from tests.support.net import wait_for
from tests.support.supervisor import Supervisor

NAME = "bot-padaria"
PROGRAM = REPOSITORY / "roles/client/templates/program.conf.j2"
RULES = ("autorestart", "exitcodes", "startsecs", "startretries", "stopsignal")
SECOND_LOOK = 5.0  # seconds; above `startsecs` and the first of supervisor's pauses


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with tempfile.TemporaryDirectory(prefix="sv-") as directory:
        private = Supervisor(Path(directory))
        yield private
        private.stop()


def start(supervisor: Supervisor, bot: BotProcess) -> Path:
    """Run the bot by the rules of the role's template; returns supervisord's log."""
    found = dict(re.findall(r"^(\w+) = (\w+)$", PROGRAM.read_text(), re.MULTILINE))
    rules = "".join(f"{rule}={found[rule]}\n" for rule in RULES)
    supervisor.programs.mkdir(parents=True)
    (supervisor.programs / f"{NAME}.conf").write_text(
        f"[program:{NAME}]\ncommand={' '.join(bot.command)}\n"
        f"redirect_stderr=true\nstdout_logfile={bot.log}\n{rules}"
    )
    supervisor.start()
    return supervisor.directory / "supervisord.log"


def starts(log: Path) -> int:
    """How often supervisord has started the bot."""
    return log.read_text().count(f"spawned: '{NAME}'")


@pytest.mark.parametrize("when", ["before its first word", "while it runs"])
def test_a_bot_that_another_host_has_taken_over_stays_down(
    supervisor: Supervisor, bot: BotProcess, gateway: GatewayDouble, when: str
) -> None:
    if when == "before its first word":
        gateway.generation = 1
    log = start(supervisor, bot)
    if when == "while it runs":
        wait_for(bot.has_started, "it runs")
        gateway.generation = 1
        bot.phone("5511987654321").text("oi")  # its post is refused
    wait_for(lambda: f"exited: {NAME} (exit status 78; expected)" in log.read_text(), "it has ended", 30)
    with pytest.raises(TimeoutError):
        wait_for(lambda: starts(log) > 1, "another start", SECOND_LOOK)
    assert gateway.turns == {}


def test_a_bot_that_dies_otherwise_is_started_again(
    supervisor: Supervisor, bot: BotProcess, gateway: GatewayDouble
) -> None:
    log = start(supervisor, bot)
    pid = wait_for(lambda: supervisor.running().get(NAME), "it runs")
    gateway.give(Restart())
    wait_for(lambda: supervisor.running().get(NAME, pid) != pid, "it was started again", 30)
    assert starts(log) == 2


def test_a_bot_whose_phone_was_logged_out_goes_on_waiting_in_the_same_process(
    supervisor: Supervisor, bot: BotProcess, gateway: GatewayDouble
) -> None:
    log = start(supervisor, bot)
    wait_for(lambda: gateway.statuses and gateway.statuses[-1].state == "connected", "it is connected")
    pid = wait_for(lambda: supervisor.running().get(NAME), "it runs")
    OwnersPhone(bot.state, "5511912345678").log_out()
    wait_for(lambda: gateway.statuses[-1].state == "logged_out", "it says so", 30)
    with pytest.raises(TimeoutError):
        wait_for(lambda: starts(log) > 1, "another start", SECOND_LOOK)
    assert supervisor.running()[NAME] == pid
