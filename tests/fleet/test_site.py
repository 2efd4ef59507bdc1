"""A fleet made by `site.yml`: what is open, who holds what, who answers; a second run changes nothing."""

import os
import re
import subprocess

import pytest

from orbitbot.contracts.messages import MessageAnswer
from tests.fleet.site import CLIENTS, KEEP, Site
from tests.support.voices import synthesise

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]  # the first of them makes the fleet

PORTS = (22, 80, 443, 2019, 3000, 3001, 3002, 3010, 3011, 5432, 6379, 8080, 9000, 9090, 9100, 51820)
# Which hosts may hold which of the vault's secrets, and nobody else.
HOLDERS = {
    "vault_database_owner_password": {"gateway-1"},
    "vault_database_gateway_password": {"gateway-1", "gateway-2"},
    "vault_database_operator_password": {"gateway-1", "gateway-2"},
    "vault_database_ai_password": {"gateway-1", "gateway-2"},
    "vault_ai_sealing_secret": {"gateway-1", "gateway-2"},
    "vault_backup_passphrase": {"speech-1"},
    "vault_redis_password": {"gateway-1", "gateway-2", "database-1"},
    "vault_signing_key": {"gateway-1", "gateway-2"},
    "vault_tls_ca_key": set(),
    "vault_operator_password": set(),
}
PUBLIC = {"vault_verify_key", "vault_tls_ca_certificate"}


def test_the_first_run_succeeded_and_says_what_runs(site: Site) -> None:
    assert re.search(r"https://\S+ on gateway-1 is ready and runs release ", site.first.output), (
        site.first.output
    )


def test_the_run_after_one_that_was_killed_made_the_fleet(site: Site) -> None:
    if os.environ.get(KEEP) != "1":
        assert site.killed_at.startswith("TASK ["), "the first run was not killed"
    assert site.first.status == 0


@pytest.mark.parametrize("host", ["gateway-1", "gateway-2", "bots-1", "bots-2", "speech-1", "database-1"])
def test_the_outside_reaches_nothing_but_ssh_and_the_public_ports(site: Site, host: str) -> None:
    assert site.open_ports(host, PORTS) == ({22, 80, 443} if "gateway" in host else {22})


@pytest.mark.parametrize("host", ["gateway-1", "gateway-2", "bots-1", "bots-2", "speech-1", "database-1"])
def test_services_listen_on_mesh_and_loopback_alone(site: Site, host: str) -> None:
    listening = site.fleet.ssh(host, "ss --listening --tcp --numeric --no-header --processes")
    allowed = re.compile(rf"(127\.[0-9.]+|\[::1\]|{re.escape(site.mesh[host])}):\d+$")
    public = re.compile(r"(0\.0\.0\.0|\[::\]|\*):(22|80|443)$")
    for line in listening.splitlines():
        address = line.split()[3]
        assert allowed.match(address) or public.match(address), line


@pytest.mark.parametrize("host", ["gateway-1", "gateway-2", "bots-1", "bots-2", "speech-1", "database-1"])
def test_a_host_holds_the_secrets_that_it_needs_and_no_other(site: Site, host: str) -> None:
    known = {name: value for name, value in site.secrets.items() if name not in PUBLIC}
    assert known.keys() == HOLDERS.keys(), "say who may hold the new secret"
    found = site.held(host, known)
    assert found.keys() == {name for name, hosts in HOLDERS.items() if host in hosts}, found


def test_a_bots_user_reaches_the_gateways_and_neither_database_nor_metadata(site: Site) -> None:
    database = site.mesh["database-1"]
    for target, port in ((database, 5432), (database, 6379), ("169.254.169.254", 80)):
        assert not site.connects("bots-1", target, port, "bot-padaria")
    assert site.connects("bots-1", "127.0.0.1", 3010, "bot-padaria")
    assert not site.connects("bots-1", database, 5432), "no host but a gateway's gets there at all"
    assert site.connects("gateway-2", database, 5432)


def test_the_database_takes_nobody_without_tls(site: Site) -> None:
    password = site.secrets["vault_database_ai_password"]
    login = f"host={site.mesh['database-1']} dbname=orbitbot user=orbitbot_ai password={password}"
    program = "import psycopg, sys; psycopg.connect(sys.stdin.read())"
    python = "/opt/orbitbot/current/venv/application/bin/python"

    def connect(more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            site.fleet.ssh_command("gateway-2", f"{python} -c '{program}'"),
            input=f"{login} {more}",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    trusting = connect("sslmode=verify-full sslrootcert=/etc/orbitbot/ca.crt")
    assert (trusting.returncode, trusting.stderr) == (0, "")
    plain = connect("sslmode=disable")
    assert plain.returncode == 1
    assert "no pg_hba.conf entry" in plain.stderr
    stranger = connect("sslmode=verify-full sslrootcert=/etc/ssl/certs/ca-certificates.crt")
    assert stranger.returncode == 1
    assert "certificate verify failed" in stranger.stderr


@pytest.mark.parametrize("client", CLIENTS)
def test_a_text_is_answered(site: Site, client: str) -> None:
    assert site.say(client, "Qual o horário de funcionamento?").strip()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_voice_note_is_answered(site: Site, client: str) -> None:
    assert site.say_aloud(client, synthesise("quero dois bolos de chocolate")).strip()


@pytest.mark.parametrize("gateway", ["gateway-1", "gateway-2"])
def test_the_api_answers_at_every_gateway(site: Site, gateway: str) -> None:
    with site.api(gateway) as api:
        answer = api.say("padaria", "Bom dia", "5511955550000")
    assert isinstance(answer, MessageAnswer)
    assert answer.response


def test_no_unit_has_failed(site: Site) -> None:
    for host in site.hosts:
        assert site.fleet.ssh(host, "systemctl --failed --no-legend") == ""


def test_supervisors_limit_on_files_is_raised(site: Site) -> None:
    limit = site.fleet.ssh("bots-1", "grep 'open files' /proc/$(cat /run/supervisord.pid)/limits")
    assert int(limit.split()[3]) >= 20_000


def test_a_second_run_changes_nothing(site: Site) -> None:
    site.play("site").require_success().require_changes(0)


@pytest.mark.long
def test_check_mode_finds_nothing_to_change(site: Site) -> None:
    one_of_each = "gateway-1:bots-1:speech-1:database-1:localhost"
    site.play("site", "--check", "--diff", "--limit", one_of_each).require_success().require_changes(0)
