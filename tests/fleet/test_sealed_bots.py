"""Hostile code as a bot under supervisor on a real host: with systemd's scopes and the firewall's users."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.fleet.ground import CACHE, DATABASE, MESH, METADATA, Ground
from tests.hosts.command import HostsError
from tests.hosts.processes import wait_until
from tests.support.sealed import CPU, FILES, HOSTILE, LAUNCHER, MEMORY, TASKS

pytestmark = [pytest.mark.fleet, pytest.mark.long]

BOTS = "/var/lib/orbitbot/bots"
RELEASE = "/opt/orbitbot/releases/test"
PROGRAM = """\
[program:bot-{client}]
command=/opt/orbitbot/sbin/launch-bot run --client {client} --user bot-{client} --state {bots}/{client}
  --settings /etc/orbitbot/bots/{client}.toml --release /opt/orbitbot/current --keep-env LANG
  --memory-mib {memory} --cpu-percent {cpu} --tasks {tasks} --open-files {files}
  -- /usr/bin/python3 -I -S /opt/orbitbot/current/hostile.py {what}
umask=077
startsecs=1
stopasgroup=true
killasgroup=true
stopwaitsecs={wait}
redirect_stderr=true
stdout_logfile=/var/log/bot-{client}.log
"""


class BotHost:
    """Host `c` of the ground, with supervisor, the launcher, and bots in whose place hostile code runs."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def prepare(self) -> None:
        """What the roles `supervisor`, `release` and `client` would do."""
        self.run("DEBIAN_FRONTEND=noninteractive apt-get install -qq -y bubblewrap supervisor", timeout=200)
        self.run(f"mkdir -p {RELEASE} /opt/orbitbot/sbin /etc/orbitbot/bots {BOTS} && chmod 711 {BOTS}")
        self.run(f"ln -sfn {RELEASE} /opt/orbitbot/current")
        self.put(f"{RELEASE}/hostile.py", HOSTILE.read_text())
        self.put("/opt/orbitbot/sbin/launch-bot", LAUNCHER.read_text())
        self.run("chmod 755 /opt/orbitbot/sbin/launch-bot; echo secret > /root/vault.yml")

    def clear(self) -> None:
        """Remove every bot."""
        self.run(
            "rm -f /etc/supervisor/conf.d/bot-*; supervisorctl update >&2; "
            "for user in $(getent passwd | grep -o '^bot-[a-z]*'); do "
            'client="${user#bot-}"; '
            '/opt/orbitbot/sbin/launch-bot end --client "$client" --user "$user"; '
            f'userdel "$user"; rm -rf "{BOTS}/$client" "/var/log/$user.log"; done'
        )
        self._ground.module("c", "firewall_users").require_success()

    def run(self, command: str, *, timeout: float = 60.0) -> str:
        return self._ground.fleet.ssh("c", command, timeout=timeout)

    def put(self, path: str, text: str) -> None:
        self.run(f"cat > {path} <<'END_OF_FILE'\n{text}\nEND_OF_FILE")

    def add(self, client: str) -> None:
        """A bot's user, place and settings, known to the firewall."""
        place = f"{BOTS}/{client}"
        self.run(
            f"useradd --system bot-{client}; install -d -m 700 -o bot-{client} -g bot-{client} {place}; "
            f"echo secret > {place}/journal.db; echo > /etc/orbitbot/bots/{client}.toml"
        )
        self._ground.module("c", "firewall_users").require_success()

    def start(self, client: str, what: str, wait: int = 10) -> None:
        """Have supervisor run it."""
        limits = {"memory": MEMORY, "cpu": CPU, "tasks": TASKS, "files": FILES}
        text = PROGRAM.format(client=client, what=what, wait=wait, bots=BOTS, **limits)
        self.put(f"/etc/supervisor/conf.d/bot-{client}.conf", text)
        self.run("supervisorctl update >&2")

    def has(self, client: str, name: str) -> bool:
        return self.run(f"if test -e {BOTS}/{client}/{name}; then echo yes; fi") == "yes\n"

    def wait(self, client: str, name: str) -> None:
        """Until it has written a sign."""
        try:
            wait_until(lambda: self.has(client, name), f"{client} writes {name}", 60)
        except HostsError as error:
            raise HostsError(f"{error}\n{self.run(f'tail -n 20 /var/log/bot-{client}.log')}") from None

    def told(self, client: str, name: str) -> Any:
        """A result that it wrote."""
        self.wait(client, name)
        return json.loads(self.run(f"cat {BOTS}/{client}/{name}"))

    def processes(self, client: str) -> list[int]:
        """The living processes of its user."""
        # Status 1 says that there are none.
        listed = self.run(f"ps -o pid=,stat= -u bot-{client}; test $? -le 1").splitlines()
        return [int(line.split()[0]) for line in listed if not line.split()[1].startswith("Z")]

    def seconds_used(self, client: str) -> float:
        """The processor time of its processes so far."""
        stats = " ".join(f"/proc/{pid}/stat" for pid in self.processes(client))
        ticks = self.run(f"awk '{{ used += $14 + $15 }} END {{ print used }}' {stats}; getconf CLK_TCK")
        used, second = map(float, ticks.split())
        return used / second


@pytest.fixture(scope="module")
def prepared(ground: Ground) -> BotHost:
    host = BotHost(ground)
    host.prepare()
    return host


@pytest.fixture
def host(prepared: BotHost) -> Iterator[BotHost]:
    yield prepared
    prepared.clear()


def test_it_reads_nothing(host: BotHost) -> None:
    host.add("acme")
    host.add("padaria")
    neighbour = [f"{BOTS}/padaria", f"{BOTS}/padaria/journal.db", "/etc/orbitbot/bots/padaria.toml"]
    system = ["/etc/shadow", "/etc/passwd", "/root", "/root/vault.yml", "/run/supervisor.sock", "/var/log"]
    own = [f"{BOTS}/acme", "/etc/orbitbot/bots/acme.toml", "/opt/orbitbot/current/hostile.py"]
    host.start("acme", " ".join(["look", *neighbour, *system, *own]))
    seen = host.told("acme", "looked.json")
    assert {path for path, result in seen["read"].items() if result == "done"} == set(own)
    assert {path for path, result in seen["write"].items() if result == "done"} == {"/tmp/x", "own"}
    assert len(seen["commands"]) == 2
    assert (seen["capabilities"], seen["no_new_privileges"], seen["become_root"]) == ("0" * 16, "1", "EINVAL")


def test_it_reaches_neither_database_nor_redis_nor_metadata(host: BotHost, ground: Ground) -> None:
    host.add("acme")
    gateway = f"{MESH['a']}:80"
    denied = [f"{MESH['b']}:{CACHE}", f"127.0.0.1:{DATABASE}", f"127.0.0.1:{CACHE}", f"{METADATA}:80"]
    for target in (gateway, *denied):
        address, _, port = target.rpartition(":")
        assert ground.connects("c", address, int(port)), "root does not get there, so nothing would be proven"
    host.start("acme", " ".join(["reach", gateway, *denied]))
    reached = host.told("acme", "reached.json")
    assert reached[gateway] == "done"
    assert {target: reached[target] for target in denied} == dict.fromkeys(denied, "EHOSTUNREACH")


def test_its_hunger_is_bounded_and_its_neighbour_lives(host: BotHost) -> None:
    for client in ("quiet", "fork", "hog", "spin"):
        host.add(client)
    host.start("quiet", "wait")
    host.wait("quiet", "waiting")
    before = host.run("supervisorctl pid; supervisorctl pid bot-quiet")
    for client in ("fork", "hog", "spin"):
        host.start(client, client, wait=1)
    host.wait("fork", "refused")
    assert 1 < len(host.processes("fork")) <= TASKS
    host.wait("hog", "held")
    wait_until(
        lambda: int(host.run("grep -c 'bot sealed off' /var/log/bot-hog.log")) > 1, "the hog's end", 60
    )
    assert int(host.run(f"cat {BOTS}/hog/held")) <= MEMORY
    host.wait("spin", "spinning")
    began, used = time.monotonic(), host.seconds_used("spin")
    wait_until(lambda: host.seconds_used("spin") > used + 0.5, "half a second of the processor", 60)
    share = (host.seconds_used("spin") - used) / (time.monotonic() - began)
    assert 0.01 < share < 1.5 * CPU / 100
    assert host.run("supervisorctl pid; supervisorctl pid bot-quiet") == before
    host.run("supervisorctl stop all >&2")
    for client in ("quiet", "fork", "hog", "spin"):
        assert host.processes(client) == []
    assert host.has("quiet", "ended"), "it was not asked to end, but killed"


def test_a_killed_supervisord_leaves_no_second_bot(host: BotHost) -> None:
    host.add("acme")
    host.add("cling")
    host.start("acme", "wait")
    host.start("cling", "cling")
    host.wait("acme", "waiting")
    host.wait("cling", "clinging")
    before = {*host.processes("acme"), *host.processes("cling")}
    host.run(f"rm {BOTS}/acme/waiting {BOTS}/cling/clinging; kill -9 $(supervisorctl pid)")
    host.run("systemctl reset-failed supervisor; systemctl start supervisor")
    host.wait("acme", "waiting")
    host.wait("cling", "clinging")
    after = [*host.processes("acme"), *host.processes("cling")]
    assert len(after) == 3 + 4, (
        "each once: two processes of bubblewrap's, the bot, and the clinging one's child"
    )
    assert not before & set(after)


def test_the_status_tells_which_limits_hold(host: BotHost, ground: Ground) -> None:
    host.add("acme")
    host.start("acme", "wait")
    host.wait("acme", "waiting")
    told = ground.module("c", "host_status").require_success().output
    seal = yaml.safe_load(told.partition("=>")[2])["seals"]["acme"]
    assert seal == {
        "by": "systemd scope",
        "memory_mib": MEMORY,
        "cpu_percent": CPU,
        "tasks": TASKS,
        "open_files": FILES,
        "sandbox": True,
    }
