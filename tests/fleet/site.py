"""A fleet that `site.yml` made, and what a user, an operator and a stranger see of it."""

import json
import os
import random
import shlex
import signal
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import BINARIES, Run, environment
from tests.fleet import outside
from tests.fleet.inventory import VAULT, mesh_addresses, write
from tests.hosts.fleet import Fleet
from tests.hosts.plan import HostRequest
from tests.support.api import Api

# Where everything is as far apart as it goes on six hosts.
HOSTS: Final = (
    HostRequest("gateway-1", ("control", "gateway", "ai")),
    HostRequest("gateway-2", ("gateway", "ai")),
    HostRequest("bots-1", ("bots",)),
    HostRequest("bots-2", ("bots",)),
    HostRequest("speech-1", ("speech", "backup")),
    HostRequest("database-1", ("database", "cache", "monitoring")),
)
# One that does everything but keep the backups.
ALONE: Final = (
    HostRequest(
        "everything-1",
        ("control", "gateway", "ai", "bots", "speech", "database", "cache", "monitoring"),
    ),
    HostRequest("backup-1", ("backup",)),
)
# What the roles would install with apt: a fleet stands on a layer that has it, made once and kept.
PACKAGES: Final = (
    "bubblewrap",
    "certbot",
    "espeak-ng",
    "libmagic1",
    "nftables",
    "nginx",
    "openssl",
    "pgbackrest",
    "postgresql",
    "python3-cryptography",
    "python3-psycopg2",
    "redis-server",
    "restic",
    "supervisor",
    "systemd-timesyncd",
    "unattended-upgrades",
    "wireguard-go",
    "wireguard-tools",
)
CLIENTS: Final = ("padaria", "clinica")  # one for each bot host
PERSONALITY: Final = "templates/personalities/bakery.pt.toml"
SAY: Final = "/opt/orbitbot/current/venv/bot/bin/orbitbot say"
KEEP: Final = "ORBITBOT_KEEP_FLEET"  # environment: 1 keeps the fleet, and takes the one that was kept
SPOILT: Final = "group_vars/all/zzz-spoilt.yml"
SEED: Final = 20_261_130
KILLED_BETWEEN: Final = (30, 120)  # tasks of the first run: from the mesh to the services
SITE_TIMEOUT: Final = 900.0  # seconds

# Whether all units run, which release does, and which programs supervisor has, whatever slot a service is in.
_STATE = (
    "shopt -s nullglob; echo $(systemctl is-system-running) $(readlink /opt/orbitbot/current) "
    "$(echo /etc/supervisor/conf.d/* | sed 's/-[ab][.]conf/.conf/g')"
)
_SEARCHED = "/etc /home /opt/orbitbot/current /root /run /srv /tmp /var"
# Reads names and their texts from standard input (JSON); prints (JSON) the names whose text is in a file
# below these directories or in a process's environment or command line, and where it was found first.
_SEARCH = """
import json, os, stat, sys
wanted = {name: text.encode() for name, text in json.load(sys.stdin).items()}
mine = str(os.getpid())
found = {}
def files():
    for process in os.listdir("/proc"):
        if process.isdigit() and process != mine:
            yield f"/proc/{process}/environ"
            yield f"/proc/{process}/cmdline"
    for top in sys.argv[1:]:
        for folder, _, names in os.walk(os.path.realpath(top)):
            yield from (os.path.join(folder, name) for name in names)
for path in files():
    try:
        if stat.S_ISREG(os.lstat(path).st_mode):
            with open(path, "rb") as file:
                content = file.read()
            found.update((name, path) for name in wanted.keys() - found.keys() if wanted[name] in content)
    except OSError:
        continue
json.dump(found, sys.stdout)
"""


@dataclass
class Site:
    """The fleet, its inventory, and what was run on it."""

    fleet: Fleet
    first: Run = field(default_factory=lambda: Run(0, ""))
    killed_at: str = ""

    @cached_property
    def inventory(self) -> Path:
        """The inventory's directory, as the example is now."""
        return write(self.fleet)

    @property
    def mesh(self) -> dict[str, str]:
        """Host → its address in the mesh."""
        return mesh_addresses(self.fleet.plan)

    @property
    def hosts(self) -> list[str]:
        """Every host's name."""
        return [host.name for host in self.fleet.plan.hosts]

    def group(self, name: str) -> list[str]:
        """The hosts of a group."""
        return [host.name for host in self.fleet.plan.hosts if name in host.groups]

    @property
    def clients(self) -> dict[str, str]:
        """Client → the host of its bot."""
        return dict(zip(CLIENTS, self.group("bots"), strict=False))

    def address(self, host: str) -> str:
        """A host's address outside of the mesh."""
        return self.fleet.plan.host(host).address

    def prepare(self) -> None:
        """Have the fleet and its clients; the first run is killed, and the next makes that good."""
        if not (self.inventory / VAULT).exists():
            self.killed_at = self.kill_at_task(random.Random(SEED).randrange(*KILLED_BETWEEN))
        self.first = self.play("site").require_success()
        self.add_clients()

    def kill_at_task(self, number: int, playbook: str = "site", **variables: Any) -> str:
        """Run a playbook and kill it, with all that it started here, at its task of this number; that task.

        Raises:
            AssertionError: the run had fewer tasks.
        """
        run = subprocess.Popen(
            self.command(playbook, **variables),
            cwd=REPOSITORY,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        seen = []
        with run:
            assert run.stdout is not None
            for line in run.stdout:
                seen.append(line)
                if sum(each.startswith("TASK [") for each in seen) == number:
                    os.killpg(run.pid, signal.SIGKILL)
                    return line.strip()
        raise AssertionError(f"the run ended before task {number}:\n{''.join(seen)}")

    def spoil(self, number: int) -> None:
        """Change settings of every role in the inventory, differently for each number; `unspoil` ends it."""
        changed = {
            "ai_drain_seconds": 31 + number % 2,
            "gateway_drain_seconds": 31 + number % 2,
            "hardening_journal_days": 61 + number % 2,
            "mesh_mtu": 1400 + number % 2,
            "nginx_rest_seconds": 11 + number % 2,
            "postgresql_max_connections": 101 + number % 2,
            "redis_max_memory": f"{129 + number % 2}mb",
            "speech_drain_seconds": 31 + number % 2,
            "supervisor_log_backups": 3 + number % 2,
        }
        (self.inventory / SPOILT).write_text(json.dumps(changed))

    def unspoil(self) -> None:
        """End what `spoil` did."""
        (self.inventory / SPOILT).unlink(missing_ok=True)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """The vault's content."""
        vault = self.inventory / VAULT
        shown = subprocess.run(
            [str(BINARIES / "ansible-vault"), "view", str(vault)],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        found: dict[str, str] = yaml.safe_load(shown.stdout)
        return found

    @cached_property
    def authority(self) -> Path:
        """The file of the authority's certificate."""
        path = self.fleet.folder / "ca.crt"
        path.write_text(self.secrets["vault_tls_ca_certificate"])
        return path

    def api(self, host: str = "gateway-1") -> Api:
        """The REST API through a gateway's nginx, as the operator; whoever asks for it closes it."""
        with Api(f"https://{self.address(host)}", self.authority) as anybody:
            return anybody.as_operator(self.secrets["vault_operator_password"])

    def state(self) -> dict[str, object]:
        """What every module of tests must leave as it found it."""

        def told(host: str) -> str:
            return " ".join(self.fleet.ssh(host, _STATE).split())

        with ThreadPoolExecutor() as pool, self.api() as api:
            listed = api.http.get("/api/clients").raise_for_status().json()["clients"]
            return {
                "inventory": sorted(path.name for path in self.inventory.glob("*_vars/*/*")),
                "clients": sorted(each["id"] for each in listed),
                "hosts": dict(zip(self.hosts, pool.map(told, self.hosts), strict=True)),
            }

    def command(self, playbook: str, *arguments: str, **variables: Any) -> list[str]:
        """The command line of a playbook of this inventory."""
        words = [str(BINARIES / "ansible-playbook"), "-i", str(self.inventory), f"playbooks/{playbook}.yml"]
        given = ["-e", json.dumps(variables)] if variables else []
        return [*words, *given, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The environment that playbooks run in."""
        return environment()

    def play(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook."""
        done = subprocess.run(
            self.command(playbook, *arguments, **variables),
            cwd=REPOSITORY,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SITE_TIMEOUT,
        )
        return Run(done.returncode, done.stdout)

    def add_clients(self) -> None:
        """Have the clients, on the simulator channel; all at once, which the lock allows."""

        def add(client: str, host: str) -> Run:
            return self.play(
                "add-client", client=client, channel="simulator", settings_file=PERSONALITY, host=host
            )

        with ThreadPoolExecutor() as pool:
            for run in pool.map(add, self.clients.keys(), self.clients.values()):
                run.require_success()

    def say(self, client: str, text: str, number: str = "5511900000000") -> str:
        """What the client's bot answers to a text, asked on its host's simulated telephone."""
        return self.fleet.ssh(
            self.clients[client], f"{SAY} {client} '{text}' --from={number} --timeout=120", timeout=150
        )

    def say_aloud(self, client: str, note: bytes, number: str = "5511900000001") -> str:
        """What it answers to a voice note (OGG/Opus)."""
        receive = f"cat >/tmp/note.ogg && {SAY} {client} --voice /tmp/note.ogg --from={number} --timeout=120"
        done = subprocess.run(
            self.fleet.ssh_command(self.clients[client], receive),
            input=note,
            capture_output=True,
            check=False,
            timeout=150,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode()

    def connects(self, host: str, target: str, port: int, user: str = "root") -> bool:
        """See `outside.connects`."""
        return outside.connects(self.fleet, host, target, port, user)

    def open_ports(self, host: str, ports: Iterable[int]) -> set[int]:
        """See `outside.open_ports`."""
        return outside.open_ports(self.address(host), ports)

    def held(self, host: str, secrets: Mapping[str, str]) -> dict[str, str]:
        """Those of the secrets that a file or process of the host has → where.

        Of a secret of several lines the longest line counts.
        """
        longest = {name: max(secret.splitlines(), key=len) for name, secret in secrets.items()}
        done = subprocess.run(
            self.fleet.ssh_command(host, f"python3 -c {shlex.quote(_SEARCH)} {_SEARCHED}"),
            input=json.dumps(longest),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found
