"""What a machine without systemd is as a whole deployment: as its user sees it, and what listens on it."""

import re

import pytest
import testinfra
from testinfra.host import Host

from tests.ansible.running import playbook
from tests.hosts.command import run
from tests.support.voices import synthesise

CLIENT = "molecule"
SAY = ["/opt/orbitbot/current/venv/bot/bin/orbitbot", "say", "--timeout=120"]
PORTS = (3000, 3001, 3002, 5432, 6379)


@pytest.fixture(scope="module")
def machine() -> Host:
    """This machine."""
    return testinfra.get_host("local://")


@pytest.fixture(scope="module", autouse=True)
def client() -> None:
    """A client on the simulator channel."""
    personality = "templates/personalities/bakery.pt.toml"
    playbook(
        "add-client",
        "-e",
        f"client={CLIENT}",
        "-e",
        "channel=simulator",
        "-e",
        f"settings_file={personality}",
    ).require_success()


def test_programs_run(machine: Host) -> None:
    for name in ("orbitbot-gateway-a", "orbitbot-ai-a", "orbitbot-speech-a", f"bot-{CLIENT}"):
        assert machine.supervisor(name).is_running, name


def test_services_listen_on_loopback_alone(machine: Host) -> None:
    listening = machine.check_output("ss --listening --tcp --numeric --no-header")
    addresses = [line.split()[3] for line in listening.splitlines()]
    for port in PORTS:
        found = [each for each in addresses if each.endswith(f":{port}")]
        assert found, port
        assert all(re.match(r"(127\.|\[::1\])", each) for each in found), found


def test_a_text_and_a_voice_note_are_answered(tmp_path_factory: pytest.TempPathFactory) -> None:
    note = tmp_path_factory.mktemp("note") / "note.ogg"
    note.write_bytes(synthesise("quero dois bolos de chocolate"))
    assert run(
        [*SAY, "--from=5511900000000", CLIENT, "Qual o horario de funcionamento?"], timeout=150
    ).strip()
    assert run([*SAY, "--from=5511900000001", "--voice", note, CLIENT], timeout=150).strip()
