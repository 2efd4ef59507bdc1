"""`orbitbot why MESSAGE_ID` on the host tells what became of a message."""

import json
import subprocess
from typing import Any

import pytest

from orbitbot.bot.channels.simulator_phone import SimulatorPhone
from orbitbot.contracts.messages import FINAL_STATES
from orbitbot.contracts.why import Story
from tests.acceptance.deployment import CURRENT, Client
from tests.support.api import Api
from tests.support.net import wait_for

COMMAND = CURRENT / "venv" / "application" / "bin" / "orbitbot"
CONTACT = "5511944440001"
TIMEOUT = 30.0  # seconds


def why(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as root."""
    command = [str(COMMAND), "why", *arguments, "--settings", "/etc/orbitbot/gateway.toml"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def final(operator: Api, client: Client, message_id: str) -> Story:
    """The message's story once it is final."""

    def story() -> Story | None:
        found = operator.story(client.id, message_id)
        return found if found and found.state in FINAL_STATES else None

    found = wait_for(story, f"{message_id} is final", TIMEOUT)
    assert found is not None
    return found


@pytest.fixture
def phone(client: Client) -> SimulatorPhone:
    """A contact's telephone."""
    return SimulatorPhone(client.state_directory, CONTACT)


def test_a_delivered_message(operator: Api, client: Client, phone: SimulatorPhone) -> None:
    message_id = phone.text("Onde fica a padaria?")
    final(operator, client, message_id)

    told = why(message_id)

    assert told.returncode == 0, told.stderr
    for stage in ("journaled", "received", "answering", "answered", "delivered"):
        assert stage in told.stdout
    assert "padaria" in told.stdout
    assert CONTACT not in told.stdout, "the whole number"
    assert "Rua das Flores" not in told.stdout, "what was said"
    assert "Rua das Flores" in why(message_id, "--show-text").stdout


def test_a_silenced_message(operator: Api, client: Client, phone: SimulatorPhone) -> None:
    message_id = phone.text("alguém tem uma escada?", group="120363000000000042")
    final(operator, client, message_id)

    told = why(message_id, "--json")

    assert told.returncode == 0, told.stderr
    (story,) = json.loads(told.stdout)
    expected: dict[str, Any] = {"state": "silenced", "reason": "group", "messageId": message_id}
    assert expected.items() <= story.items()


def test_an_unknown_message() -> None:
    told = why("no-such-message")

    assert told.returncode == 1
    assert "no-such-message" in told.stderr
    assert "Traceback" not in told.stderr
