"""What a fleet is to those outside of it, and what its hosts say over SSH; whichever scenario made it."""

from collections.abc import Callable

from testinfra.host import Host

from tests.fleet.site import Site
from tests.support.voices import synthesise

On = Callable[[str], Host]

# Group → Debian services that run and are enabled, and programs that supervisor runs.
SERVICES = {
    "gateway": ["nginx", "supervisor"],
    "bots": ["supervisor"],
    "speech": ["supervisor"],
    "database": ["postgresql"],
    "cache": ["redis-server"],
}
PROGRAMS = {"gateway": "orbitbot-gateway", "ai": "orbitbot-ai", "speech": "orbitbot-speech"}
SCANNED = (22, 80, 443, 3000, 3001, 3002, 3010, 3011, 5432, 6379)


def test_services_run_and_come_back_at_boot(site: Site, on: On) -> None:
    for group, names in SERVICES.items():
        for host in site.group(group):
            for name in names:
                service = on(host).service(name)
                assert service.is_running, f"{name} on {host}"
                assert service.is_enabled, f"{name} on {host}"


def test_programs_run(site: Site, on: On) -> None:
    for group, name in PROGRAMS.items():
        for host in site.group(group):
            assert on(host).supervisor(f"{name}-a").is_running, f"{name} on {host}"


def test_secrets_belong_to_root_and_their_service(site: Site, on: On) -> None:
    folder = "/etc/orbitbot/secrets/gateway"
    for host in site.group("gateway"):
        assert on(host).file(folder).mode == 0o750
        for name in on(host).file(folder).listdir():
            secret = on(host).file(f"{folder}/{name}")
            assert (secret.user, secret.group, secret.mode) == ("root", "orbitbot-gateway", 0o640)


def test_only_ssh_and_the_public_ports_are_open_to_the_outside(site: Site) -> None:
    for host in site.hosts:
        public = {22, 80, 443} if host in site.group("gateway") else {22}
        assert site.open_ports(host, SCANNED) == public, host


def test_passwords_do_not_open_ssh(site: Site, on: On) -> None:
    for host in site.hosts:
        settings = on(host).check_output("sshd -T")
        assert "passwordauthentication no" in settings
        assert "permitrootlogin without-password" in settings


def test_every_host_reaches_every_other_in_the_mesh(site: Site, on: On) -> None:
    for host in site.hosts:
        for address in site.mesh.values():
            assert on(host).addr(address).is_reachable, f"{host} does not reach {address}"


def test_texts_and_voice_notes_are_answered(site: Site, clients: dict[str, str]) -> None:
    note = synthesise("quero dois bolos de chocolate")
    for client in clients:
        assert site.say(client, "Qual o horario de funcionamento?").strip()
        assert site.say_aloud(client, note).strip()


def test_the_api_answers_at_every_gateway(site: Site, clients: dict[str, str]) -> None:
    for host in site.group("gateway"):
        with site.api(host) as api:
            for client in clients:
                assert api.say(client, "Bom dia", "5511955550000").response
