"""Hostile code as a bot, under supervisor and the launcher, on a machine without systemd as PID 1."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import load_plugin
from tests.hosts.cgroups import booted_with_systemd
from tests.support.net import wait_for
from tests.support.sealed import CPU, FILES, MEMORY, TASKS, SealedBot, sealed_how
from tests.support.supervisor import Supervisor

pytestmark = pytest.mark.integration

STOPPING = "stopsignal=TERM\nstopasgroup=true\nkillasgroup=true\nstopwaitsecs={seconds}\nautorestart=true"
WATCHED = 3.0  # seconds of a busy loop


class Place:
    """A folder that bots' users can pass through, a supervisord in it, and bots."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.supervisor = Supervisor(folder)
        self.bots: list[SealedBot] = []

    def bot(self, client: str) -> SealedBot:
        """A new bot's place."""
        self.bots.append(SealedBot(self.folder, client))
        return self.bots[-1]

    def program(
        self, bot: SealedBot, *what: str, ports: tuple[int, ...] = (), more: str = "", wait: int = 10
    ) -> None:
        """Write the program that supervisor starts; before `supervisor.start()`."""
        self.supervisor.programs.mkdir(exist_ok=True)
        command = " ".join(bot.command(*what, ports=ports))
        self.supervisor.program(bot.client, command, more=f"{STOPPING.format(seconds=wait)}\n{more}")

    def log(self, bot: SealedBot) -> Path:
        return self.folder / f"{bot.client}.log"

    def control(self, *words: str) -> str:
        """What supervisorctl says."""
        program = shutil.which("supervisorctl") or "supervisorctl"
        command = [program, "--configuration", str(self.folder / "supervisord.conf"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


@pytest.fixture
def place() -> Iterator[Place]:
    assert os.geteuid() == 0, "these tests start bots as other users: run them as root"
    assert shutil.which("bwrap"), "these tests need Debian's package `bubblewrap`: run `make test`"
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="obs"))
    folder.chmod(0o711)
    made = Place(folder)
    try:
        yield made
    finally:
        made.supervisor.stop()
        for bot in made.bots:
            bot.end()
        shutil.rmtree(folder)


def test_it_reads_nothing_that_is_not_its_own(place: Place) -> None:
    bot, neighbour = place.bot("acme"), place.bot("padaria")
    (neighbour.state / "journal.db").write_text("secret")
    neighbour.state.chmod(0o755)  # even if it were open to everybody
    vault = place.folder / "vault.yml"
    vault.write_text("secret")
    forbidden = [
        str(neighbour.state),
        str(neighbour.state / "journal.db"),
        str(neighbour.settings),
        str(vault),
        str(place.supervisor.socket),
        *("/etc/shadow", "/etc/passwd", "/etc/orbitbot", "/root", "/home", "/run", "/sys", "/var/log"),
    ]
    allowed = [str(bot.settings), str(bot.state), str(bot.release), "/etc/resolv.conf"]
    place.program(bot, "look", *forbidden, *allowed, more='environment=LANG="C.UTF-8",SECRET="x"')
    place.supervisor.start()
    seen = bot.told("looked.json")

    assert {path: seen["read"][path] for path in forbidden} == dict.fromkeys(forbidden, "ENOENT")
    assert {path: seen["read"][path] for path in allowed} == dict.fromkeys(allowed, "done")
    writable = {path for path, result in seen["write"].items() if result == "done"}
    assert writable == {"/tmp/x", "own"}
    assert seen["top"] == sorted({"dev", "etc", "proc", "tmp", bot.state.parts[1]})
    assert len(seen["commands"]) == 2, "bubblewrap's own and the bot's"
    assert (seen["capabilities"], seen["bounding"], seen["no_new_privileges"]) == ("0" * 16, "0" * 16, "1")
    assert seen["new_user_namespace"] == -1
    assert (seen["become_root"], seen["kill_init"]) == ("EINVAL", True)
    assert seen["terminal"] in {"ENXIO", "EIO"}
    assert set(seen["environment"]) == {"LANG", "ORBITBOT_PID", "PATH", "PWD"}
    assert not Path("/tmp/x").exists()


def test_it_reaches_the_declared_ports_alone(place: Place) -> None:
    bot = place.bot("acme")
    name = f"orbitbot-test-{bot.user}"
    with (
        socket.create_server(("127.0.0.1", 0)) as gateway,
        socket.create_server(("127.0.0.1", 0)) as database,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind(f"\0{name}")
        abstract.listen()
        open_port, shut_port = gateway.getsockname()[1], database.getsockname()[1]
        targets = [f"127.0.0.1:{open_port}", f"127.0.0.1:{shut_port}", f"@{name}"]
        place.program(bot, "reach", *targets, ports=(open_port,))
        place.supervisor.start()
        reached = bot.told("reached.json")
    how = sealed_how(place.log(bot))
    assert reached[targets[0]] == "done"
    if how["ports"] == "any":
        pytest.skip("this kernel's Landlock knows no ports (Linux 6.7): there the firewall must hold them")
    assert how["ports"] == [open_port]
    assert reached[targets[1]] == "EACCES"
    assert reached["listen"] == "EACCES"
    assert reached[targets[2]] in {"EPERM", "done"}  # Linux 6.12 also keeps it off abstract sockets


def test_a_stop_is_clean_even_while_it_starts(place: Place) -> None:
    bot = place.bot("acme")
    place.program(bot, "wait")
    place.supervisor.start()
    bot.wrote("waiting")
    began = time.monotonic()
    place.control("stop", "acme")
    assert time.monotonic() - began < 8, "supervisor had to kill it"
    assert (bot.state / "ended").exists()
    assert bot.processes() == []
    # SIGTERM as soon as there is a process for the bot: it waits until the bot can take it.
    for name in ("ended", "waiting"):
        (bot.state / name).unlink()
    child = subprocess.Popen(bot.command("wait"), start_new_session=True, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(bot.processes()) == 3, "the bot's process")
    os.killpg(child.pid, signal.SIGTERM)
    assert child.wait(timeout=60) == 0
    assert (bot.state / "ended").exists()


def test_what_clings_is_gone_after_a_stop_and_after_supervisords_death(place: Place) -> None:
    bot = place.bot("acme")
    place.program(bot, "cling", wait=1)
    place.supervisor.start()
    bot.wrote("clinging")
    assert len(bot.processes()) == 4, "two of bubblewrap's, the bot and its child"
    place.control("stop", "acme")
    wait_for(lambda: not bot.processes(), "nothing of it is left")

    (bot.state / "clinging").unlink()
    place.control("start", "acme")
    bot.wrote("clinging")
    place.supervisor.kill()
    wait_for(lambda: not bot.processes(), "nothing of it is left")


def test_a_restarted_supervisord_runs_each_bot_once(place: Place) -> None:
    bot = place.bot("acme")
    place.program(bot, "wait")
    place.supervisor.start()
    bot.wrote("waiting")
    before = set(bot.processes())
    (bot.state / "waiting").unlink()
    place.supervisor.kill()
    place.supervisor.start()
    bot.wrote("waiting")
    after = bot.processes()
    assert len(after) == 3
    assert not before & set(after)


@pytest.mark.parametrize("seed", [1])
def test_a_start_that_is_killed_half_way_leaves_nothing(place: Place, seed: int) -> None:
    bot = place.bot("acme")
    chance = random.Random(seed)
    left = 0
    for _ in range(25):
        child = subprocess.Popen(bot.command("wait"), start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.0, 0.2))  # a random moment: there is no condition to wait for
        child.kill()
        child.wait()
        left += "ended" in bot.end()
        assert bot.processes() == []
    print(f"{left} of 25 had left something that `end` ended")
    assert bot.end() == "", "nothing to end a second time"


def test_a_start_ends_what_an_earlier_one_left(place: Place) -> None:
    bot = place.bot("acme")
    left = subprocess.Popen(["sleep", "1000"], user=bot.user, group=bot.user, extra_groups=[])
    place.program(bot, "wait")
    place.supervisor.start()
    bot.wrote("waiting")
    assert left.wait(timeout=10) == -signal.SIGKILL


def test_nobody_elses_processes_are_ended(place: Place) -> None:
    """A container on this machine may have a user with the same number."""
    bot = place.bot("acme")
    container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
    inside = f"setpriv --reuid={bot.user} --clear-groups sleep 1000 & wait"
    other = subprocess.Popen([*container, inside])
    try:
        wait_for(lambda: len(bot.processes()) == 1, "the container's process")
        assert bot.end() == ""
        assert len(bot.processes()) == 1
    finally:
        other.kill()
        other.wait()
        wait_for(lambda: not bot.processes(), "the container's end")


def test_a_fork_bomb_a_memory_hog_and_a_busy_loop_harm_nobody(place: Place) -> None:
    quiet = place.bot("quiet")
    bots = {what: place.bot(what) for what in ("fork", "hog", "spin")}
    place.program(quiet, "wait")
    place.supervisor.start()
    quiet.wrote("waiting")
    pid = place.supervisor.running()["quiet"]
    for what, bot in bots.items():
        place.program(bot, what, more="startsecs=1", wait=1)
    place.control("update")

    bots["fork"].wrote("refused")
    assert 1 < len(bots["fork"].processes()) <= TASKS + 1
    bots["hog"].wrote("held")
    log = place.log(bots["hog"])
    wait_for(lambda: log.read_text().count("bot sealed off") > 1, "the hog was ended, and is there again", 60)
    held = sealed_how(place.log(bots["hog"]))["held"]
    assert int((bots["hog"].state / "held").read_text()) <= (MEMORY if "memory" in held else MEMORY + 256)
    bots["spin"].wrote("spinning")
    if "cpu" in held:
        assert 0 < busy(bots["spin"]) < 2 * CPU / 100
    assert place.supervisor.running()["quiet"] == pid
    place.control("stop", "all")
    wait_for(lambda: not any(bot.processes() for bot in bots.values()), "all have ended")


def busy(bot: SealedBot) -> float:
    """The share of one core that a bot's processes use, watched for some seconds."""

    def ticks() -> int:
        texts = [Path(f"/proc/{pid}/stat").read_text() for pid in bot.processes()]
        return sum(int(field) for text in texts for field in text.rpartition(")")[2].split()[11:13])

    began, before = time.monotonic(), ticks()
    time.sleep(WATCHED)  # what is measured is a share of time
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)


def test_the_status_tells_which_limits_hold(place: Place) -> None:
    bot = place.bot("acme")
    place.program(bot, "wait")
    place.supervisor.start()
    bot.wrote("waiting")
    seal = load_plugin("plugins/modules/host_status.py").seal(place.supervisor.running()["acme"])
    held = sealed_how(place.log(bot))["held"]
    by = "resource limits" if not held else "systemd scope" if booted_with_systemd() else "control group"
    assert (seal["by"], seal["tasks"], seal["open_files"], seal["sandbox"]) == (by, TASKS, FILES, True)
    assert seal["memory_mib"] == (MEMORY if "memory" in held else MEMORY + 256)
    assert seal["cpu_percent"] == (CPU if "cpu" in held else None)


@pytest.mark.skipif(booted_with_systemd(), reason="with systemd there is always a scope: see tests/fleet")
def test_without_control_groups_resource_limits_hold(place: Place) -> None:
    bot = place.bot("acme")
    hidden = "mount -t tmpfs none /sys/fs/cgroup && exec " + " ".join(bot.command("hog"))
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hidden], capture_output=True, text=True, check=False, timeout=60
    )
    how: dict[str, Any] = json.loads(done.stderr.splitlines()[0])
    assert (how["limits"], how["held"]) == ("resource limits", [])
    assert done.returncode == 1
    assert "MemoryError" in done.stderr
    assert int((bot.state / "held").read_text()) <= MEMORY + 256


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("--user", "nobody-of-that-name"), "there is no user nobody-of-that-name"),
        (("--user", "0"), "root is no bot's user"),
    ],
)
def test_it_refuses_users_that_are_none(place: Place, change: tuple[str, str], expected: str) -> None:
    bot = place.bot("acme")
    command = bot.command("wait")
    command[command.index(change[0]) + 1] = change[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == os.EX_OSERR
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
