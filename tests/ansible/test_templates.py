"""Every template of every role renders with the inventory's variables, and its reader accepts the result."""

import os
import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orbitbot.ai.settings import AiSettings
from orbitbot.bot.settings import ProcessSettings
from orbitbot.foundation.migrations import MigrateSettings
from orbitbot.foundation.settings import Settings
from orbitbot.gateway.settings import GatewaySettings
from orbitbot.speech.settings import SpeechSettings
from tests.ansible.rendering import ROLES, load, render, service_arguments

RELEASE = "0.1.0+3fa9c1d2e4b7"
BOTS = {"release": RELEASE, "keep": {}}  # what the module `bot_programs` tells
CLIENT = {"client_id": "padaria", "__client_known": {"json": {}}, "__client_bots": BOTS}
SERVICES: dict[str, type[Settings]] = {
    "ai": AiSettings,
    "gateway": GatewaySettings,
    "speech": SpeechSettings,
}

JOBS = ("database", "dump", "files", "drill")
BACKUP: dict[str, Any] = {
    "ansible_facts": {"distribution_major_version": "12", "service_mgr": "systemd"},
    "backup_passphrase": "p",
    "pgbackrest_passphrase": "p",
    "backup_cluster": {"stanza": "orbitbot", "port": 5432, "database": "orbitbot"},
    "backup_jobs": [
        {"name": name, "calendar": "*-*-* 03:10:00", "cron": "10 3 * * *", "max_age_hours": 30}
        for name in JOBS
    ],
}

# What each template is rendered with beside the inventory; `service` is rendered for every service.
SUPPLIED: dict[str, dict[str, Any]] = {
    "backup/cron.j2": BACKUP,
    "backup/orbitbot-backup.timer.j2": {
        "item": {"name": "files", "calendar": "*-*-* 03:10:00", "cron": "10 3 * * *", "max_age_hours": 30}
    },
    "backup/orbitbot-backup@.service.j2": {},
    "backup/settings.toml.j2": BACKUP,
    "client/program.conf.j2": CLIENT,
    "client/settings.toml.j2": CLIENT,
    "firewall/orbitbot.nft.j2": {},
    "hardening/journald.conf.j2": {},
    "hardening/sshd.conf.j2": {},
    "hardening/timesyncd.conf.j2": {},
    "hardening/upgrades.conf.j2": {},
    "mesh/wg-quick.service.j2": {},
    "nginx/orbitbot.conf.j2": {},
    "pgbackrest/authorized_keys.j2": {"ansible_play_hosts_all": []},
    "pgbackrest/known_hosts.j2": {"ansible_play_hosts_all": []},
    "pgbackrest/pgbackrest.conf.j2": BACKUP | {"item": {"path": "", "cluster": True}},
    "postgresql/orbitbot.conf.j2": {},
    "redis/orbitbot.conf.j2": {},
    "schema/settings.toml.j2": {},
    "supervisor/orbitbot.conf.j2": {},
    "supervisor/supervisor.service.j2": {},
}
FOR_SERVICES = {"service/front.conf.j2", "service/program.conf.j2", "service/settings.toml.j2"}


def rendered(template: str) -> str:
    """The text of one template of the table."""
    role, name = template.split("/")
    return render(role, name, **SUPPLIED[template])


def for_service(service: str, name: str) -> str:
    """The text of one of the role `service`'s templates for `service`."""
    text = render("service", name, **service_arguments(service), service_release=RELEASE)
    return text.replace("@SLOT@", "a").replace("@PORT@", "3100").replace("@OTHER_PORT@", "3200")


def test_no_template_is_left_out() -> None:
    there = {
        str(path.relative_to(ROLES)).replace("/templates", "") for path in ROLES.glob("*/templates/**/*.j2")
    }
    assert there == SUPPLIED.keys() | FOR_SERVICES


@pytest.mark.parametrize("template", SUPPLIED)
def test_a_template_renders(template: str) -> None:
    text = rendered(template)
    assert text.startswith(("# Managed by Ansible", "; Managed by Ansible", "// Managed by Ansible"))
    assert "{{" not in text


@pytest.mark.parametrize("service", SERVICES)
def test_the_settings_of_a_service_are_the_ones_it_reads(service: str) -> None:
    settings = msgspec.toml.decode(for_service(service, "settings.toml.j2"), type=SERVICES[service])
    assert "-----BEGIN" not in repr(settings)  # secrets are in files of their own


def test_the_settings_of_migrations_are_the_ones_they_read() -> None:
    settings = msgspec.toml.decode(rendered("schema/settings.toml.j2"), type=MigrateSettings)
    assert settings.database.user == "orbitbot_owner"


def test_the_settings_of_a_bot_are_the_ones_it_reads() -> None:
    settings = msgspec.toml.decode(rendered("client/settings.toml.j2"), type=ProcessSettings)
    assert settings == ProcessSettings(
        client_id="padaria",
        channel="neonize",
        gateway_url="http://127.0.0.1:3000",
        state_directory="/var/lib/orbitbot/bots/padaria",
        credential_file="/var/lib/orbitbot/bots/padaria/credential.json",
    )


def test_a_bots_program_changes_with_its_settings_and_its_release() -> None:
    before = rendered("client/program.conf.j2")
    assert f"/opt/orbitbot/releases/{RELEASE}/venv/bot/bin/orbitbot" in before
    assert before != render(
        "client", "program.conf.j2", **CLIENT | {"__client_bots": BOTS | {"release": "0.2.0"}}
    )
    other = {"release": "0.2.0", "keep": {"padaria": RELEASE}}
    assert before == render("client", "program.conf.j2", **CLIENT | {"__client_bots": other}), (
        "it has the same bot"
    )
    assert before != render("client", "program.conf.j2", **CLIENT, client_gateway_url="http://10.0.0.1:3000")
    assert before == render("client", "program.conf.j2", **CLIENT)


def test_a_bot_may_connect_to_its_gateway_and_to_what_is_declared() -> None:
    def ports(**variables: Any) -> list[str]:
        text = render("client", "program.conf.j2", **CLIENT | variables)
        return re.findall(r"--port (\d+)", text)

    assert ports() == ["443", "3000"]
    assert ports(client_gateway_url="http://gateway-1.mesh") == ["80", "443"]
    assert ports(client_gateway_url="https://gateway-1.mesh", client_ports=[8443]) == ["443", "8443"]


def test_a_bot_gets_the_variables_and_paths_that_are_declared() -> None:
    text = render(
        "client",
        "program.conf.j2",
        **CLIENT,
        client_environment={"GOGC": "25", "HTTPS_PROXY": "http://10.77.0.1:8443"},
        client_readable_paths=["/opt/test-whatsapp"],
    )
    assert "--read /opt/test-whatsapp\n" in text
    assert "--keep-env GOGC,HOME,HTTPS_PROXY,LANG,MALLOC_ARENA_MAX,ORBITBOT_RELEASE\n" in text
    assert ',HTTPS_PROXY="http://10.77.0.1:8443",' in text


def programs() -> dict[str, str]:
    """Every supervisor program, by its name."""
    services = {f"orbitbot-{name}-a": for_service(name, "program.conf.j2") for name in SERVICES}
    return services | {"bot-padaria": rendered("client/program.conf.j2")}


@pytest.mark.parametrize("name", [*(f"orbitbot-{each}-a" for each in SERVICES), "bot-padaria"])
def test_a_program_file_has_one_program_that_stops_cleanly(name: str) -> None:
    parser = ConfigParser(interpolation=None)
    parser.read_string(programs()[name])
    assert parser.sections() == [f"program:{name}"]
    program = parser[f"program:{name}"]
    if name.startswith("bot-"):
        assert f" --user {name} " in program["command"].replace("\n", " ")  # the launcher becomes that user
    else:
        assert program["user"] == name.removesuffix("-a")
    assert (program["stopasgroup"], program["killasgroup"]) == ("true", "true")
    assert "%" not in parser[f"program:{name}"]["command"]  # supervisor would expand it


@pytest.mark.integration
def test_supervisors_own_parser_takes_every_program(tmp_path: Path) -> None:
    """The check of the role `client`, without the users and with the log directories of this machine."""
    for name, text in programs().items():
        lines = [line for line in text.splitlines() if not line.startswith("user")]
        path = tmp_path / f"{name}.conf"
        path.write_text(
            "\n".join(lines)
            .replace("/var/log/orbitbot/bots", str(tmp_path))
            .replace("/var/log/orbitbot", str(tmp_path))
        )
        assert check_program(path) == ""
    path.write_text(text.replace("autostart = true", "autostart = perhaps"))
    assert "not a valid boolean value: 'perhaps'" in check_program(path)
    path.write_text("")
    assert check_program(path) == "no program in it"


def check_program(path: Path) -> str:
    """What the role's validation says of a program file; empty when it is content."""
    command = str(load(ROLES / "client/vars/main.yml")["__client_check_program"])
    done = subprocess.run(
        [str(path) if each == "%s" else each for each in shlex.split(command)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def test_the_logs_of_200_bots_and_the_services_fit_in_5_gb() -> None:
    total = 0
    for name, text in programs().items():
        parser = ConfigParser(interpolation=None)
        parser.read_string(text)
        program = parser[f"program:{name}"]
        files = 1 + int(program["stdout_logfile_backups"])
        total += (
            files
            * int(program["stdout_logfile_maxbytes"].removesuffix("MB"))
            * (200 if "bot-" in name[:4] else 1)
        )
    assert total * 1024**2 < 5 * 1000**3


@pytest.mark.integration
def test_nginx_accepts_its_site(tmp_path: Path) -> None:
    binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert binary is not None, "this test needs Debian's package `nginx`: run `make test`, which installs it"
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    made_by = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout"
    subprocess.run([*made_by.split(), str(key), "-out", str(certificate)], check=True, capture_output=True)
    site = render(
        "nginx", "orbitbot.conf.j2", nginx_certificate=str(certificate), nginx_certificate_key=str(key)
    )
    (tmp_path / "site.conf").write_text(site.replace("/var/log/nginx", str(tmp_path)))
    # Without paths of its own, `nginx -t` would hand the running nginx's directories to another user.
    own_paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/nginx.pid;\nevents {{}}\nhttp {{\n{own_paths}include {tmp_path}/site.conf;\n}}\n"
    )
    done = subprocess.run(
        [
            binary,
            "-t",
            "-p",
            str(tmp_path),
            "-c",
            str(tmp_path / "nginx.conf"),
            "-e",
            str(tmp_path / "error.log"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_settings_of_the_backups_are_the_ones_their_program_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROLES / "backup/files")
    from orbitbot_backup.settings import load as load_backup_settings  # noqa: PLC0415  (its path is added above)

    path = tmp_path / "settings.toml"
    path.write_text(rendered("backup/settings.toml.j2"))
    settings = load_backup_settings(path)
    assert set(settings.jobs) == set(JOBS)
    assert settings.restic.repository.endswith("/repository")
    assert settings.cluster is not None
    assert settings.cluster.stanza == "orbitbot"


def test_a_bucket_instead_of_a_host_is_in_the_settings_of_both_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROLES / "backup/files")
    from orbitbot_backup.settings import load as load_backup_settings  # noqa: PLC0415  (its path is added above)

    bucket = {"url": "s3:https://s3.example/b/restic", "key": "k", "key_secret": "s", "ca_file": "/ca.pem"}
    path = tmp_path / "settings.toml"
    path.write_text(render("backup", "settings.toml.j2", **BACKUP, backup_s3=bucket))
    settings = load_backup_settings(path)
    assert settings.restic.repository.startswith("s3:https://s3.example/b/restic/")
    assert (settings.restic.ca_file, settings.restic.sftp_command) == ("/ca.pem", "")
    assert settings.drill is not None
    assert settings.drill.repository.startswith("s3:https://s3.example/b/restic/")

    given = {"bucket": "b", "endpoint": "s3.example", "region": "r", "key": "k", "key_secret": "s"}
    item = {"path": "", "cluster": True}
    text = render("pgbackrest", "pgbackrest.conf.j2", **BACKUP, item=item, pgbackrest_s3=given)
    assert "repo1-type=s3\nrepo1-s3-bucket=b\nrepo1-s3-endpoint=s3.example\n" in text
