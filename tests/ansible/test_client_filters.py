"""`plugins/filter/clients.py`: what playbooks ask about clients before they change anything."""

import typing
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from orbitbot.bot.main import make_channel
from orbitbot.bot.settings import ProcessSettings
from orbitbot.contracts.clients import ChannelKind
from orbitbot.foundation import names
from orbitbot.foundation.errors import SettingsError
from tests.ansible.conftest import load_plugin

filters = load_plugin("plugins/filter/clients.py")
FILTERS = filters.FilterModule().filters()
NOTHING_GIVEN = {"channel": "", "name": "", "language": "", "timezone": ""}


def test_names_are_the_packages_own() -> None:
    assert FILTERS["orbitbot_system_user"]("padaria") == names.system_user("padaria")
    assert FILTERS["orbitbot_state_directory"]("padaria", "/srv") == "/srv/padaria"
    assert FILTERS["orbitbot_supervisor_file"]("padaria") == "orbitbot-bot-padaria.conf"


@pytest.mark.parametrize(
    "bad", ["", "A", "Padaria", "1acme", "a", "x" * 32, "acme\n", "../acme", "acme bot", 7]
)
def test_a_bad_client_id_is_named_with_what_is_allowed(bad: object) -> None:
    problem = filters.client_id_problem(bad)
    assert repr(str(bad)) in problem
    assert names.CLIENT_ID_HELP in problem
    with pytest.raises(AnsibleFilterError, match="is not a client id"):
        FILTERS["orbitbot_system_user"](bad)


def test_a_good_client_id_has_no_problem() -> None:
    assert filters.client_id_problem("padaria-2") == ""


def test_a_channel_is_refused_unless_a_bot_can_run_it(tmp_path: Path) -> None:
    """The list in the filter is the list of the bot itself."""
    runs = []
    for channel in typing.get_args(ChannelKind):
        settings = ProcessSettings(
            client_id="padaria",
            channel=channel,
            gateway_url="http://127.0.0.1:9",
            state_directory=str(tmp_path),
            credential_file="",
        )
        try:
            make_channel(settings)
        except SettingsError:
            assert filters.channel_problem(channel).endswith(f"allowed: {', '.join(filters.CHANNELS)}")
        else:
            runs.append(channel)
    assert sorted(runs) == sorted(filters.CHANNELS)
    assert "'telegram' is not a channel" in filters.channel_problem("telegram")
    assert filters.channel_problem("") == ""


def test_a_new_client_gets_the_defaults_for_what_is_not_given() -> None:
    assert filters.registration({"title": "There is no such thing"}, "padaria", **NOTHING_GIVEN) == {
        "channel": "neonize",
        "name": "padaria",
        "language": "pt",
        "timezone": "America/Sao_Paulo",
    }


def test_a_known_client_keeps_what_is_not_given() -> None:
    known = {
        "id": "padaria",
        "channel": "simulator",
        "name": "Padaria Sol",
        "language": "en",
        "timezone": "UTC",
    }
    body = filters.registration(known, "padaria", **NOTHING_GIVEN | {"language": "pt-BR"})
    assert body == {"channel": "simulator", "name": "Padaria Sol", "language": "pt-BR", "timezone": "UTC"}


def test_a_host_that_is_named_is_a_bot_host() -> None:
    assert filters.host_problem("", ["vps1"]) == ""
    assert filters.host_problem("vps2", ["vps1", "vps2"]) == ""
    assert filters.host_problem("", ["vps1", "vps2"]) == "", "the one with the most room is chosen"
    assert filters.host_problem("vps3", ["vps1"]) == "host: 'vps3' is not a bot host; allowed: vps1"


def test_a_settings_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "padaria.toml"
    path.write_text('personality = "Oi"\n[settings]\nquietSeconds = 2.0\n')
    assert filters.configuration(str(path)) == {"personality": "Oi", "settings": {"quietSeconds": 2.0}}
    assert filters.configuration("") == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("personality =", "Invalid value"),
        ('persona = "Oi"', "unknown key 'persona'; allowed: personality, settings"),
        ("[settings]\nquiet_seconds = 2.0", "unknown field `quiet_seconds`"),
        ("[settings]\nquietSeconds = 90.0", "<= 60"),
        ("personality = 1", "Expected `str"),
    ],
)
def test_a_wrong_settings_file_is_named_with_its_fault(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "padaria.toml"
    path.write_text(content)
    found = filters.settings_file_problem(str(path))
    assert found.startswith(f"settings_file: {path}: ")
    assert problem in found
    with pytest.raises(AnsibleFilterError, match="settings_file"):
        filters.configuration(str(path))


def test_a_settings_file_that_is_not_there_is_named() -> None:
    assert (
        filters.settings_file_problem("/nope.toml") == "settings_file: /nope.toml: No such file or directory"
    )


def test_yes_and_no_are_not_guessed() -> None:
    assert filters.yes_no_problem("yes", "purge") == filters.yes_no_problem("no", "purge") == ""
    assert filters.yes_no_problem("yess", "purge") == "purge: 'yess' is neither yes nor no"


@pytest.mark.parametrize("key", ["", "sk-1 2", "sk-1\nsk-2", "sk-ç"])
def test_what_cannot_be_a_key_is_refused_without_telling_it(key: str) -> None:
    problem = filters.provider_key_problem(key)
    assert problem
    assert not key or key not in problem


def test_a_key_has_no_problem() -> None:
    assert filters.provider_key_problem("sk-or-v1-0123456789abcdef") == ""


def test_a_file_of_many_clients(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    path.write_text('[[clients]]\nid = "padaria"\nhost = "vps1"\n[[clients]]\nid = "clinica"\n')
    assert filters.clients_of_file(str(path)) == [{"id": "padaria", "host": "vps1"}, {"id": "clinica"}]
    assert filters.clients_file_problem(str(path), ["vps1"]) == ""
    assert filters.clients_file_problem("", ["vps1"], "padaria") == ""
    assert "give either" in filters.clients_file_problem(str(path), ["vps1"], "padaria")
    assert filters.clients_file_problem(str(path), ["vps2"]).endswith(
        "client 1 (padaria): host: 'vps1' is not a bot host; allowed: vps2"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "tables [[clients]], one or more, and nothing else"),
        ('other = 1\n[[clients]]\nid = "aa"\n', "and nothing else"),
        ('[[clients]]\nid = "A"\n', "client 1: clientId: 'A' is not a client id"),
        ('[[clients]]\nid = "aa"\n[[clients]]\nid = "aa"\n', "client 2: 'aa' is there twice"),
        ('[[clients]]\nid = "aa"\nnome = "x"\n', "client 1: unknown key 'nome'; allowed: id, channel"),
        ('[[clients]]\nid = "aa"\nname = 1\n', "client 1: name: is no text"),
        ('[[clients]]\nid = "aa"\nchannel = "pigeon"\n', "'pigeon' is not a channel"),
    ],
)
def test_a_file_of_many_clients_that_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "clients.toml"
    path.write_text(text)
    assert problem in filters.clients_file_problem(str(path), ["vps1"])
