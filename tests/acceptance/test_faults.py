"""Faults in the middle of the conversation: every message is answered once they are over, none twice.

`make test` has each fault once and for a short time; `make test-faults` longer and at many random moments.
"""

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.deployment import SERVICES, Client, Deployment
from tests.acceptance.disturbance import assert_clean, play, prepare, wait_for_progress
from tests.support.api import Api
from tests.support.net import wait_for

SHORT = 8.0  # seconds that a service is away in `make test`
LONG = 60.0  # … and in `make test-faults`
CATCH_UP = 120.0  # seconds that the day may take beyond the fault
DRAIN = 45.0  # seconds in which a service finishes what it has begun and ends
KILLS = 50  # of a bot
LOGS = Path("/var/log/orbitbot")

AWAY = [
    pytest.param((name, seconds), id=f"{name} for {seconds:g} s", marks=marks)
    for seconds, marks in ((SHORT, ()), (LONG, (pytest.mark.faults, pytest.mark.timeout(900))))
    for name in ("postgresql", "redis-server", "ai", "speech")
]
ROUNDS = pytest.mark.parametrize(
    "seed",
    [f"round {n}" if n == 0 else pytest.param(f"round {n}", marks=pytest.mark.faults) for n in range(10)],
    indirect=True,
)  # each round has a seed of its own


@pytest.fixture(autouse=True)
def restored(deployment: Deployment) -> Iterator[None]:
    """Whatever happens, everything runs again afterwards."""
    deployment.restore()
    yield
    deployment.restore()


def logs(*clients: Client) -> list[Path]:
    """What to show after a failure."""
    return [LOGS / "gateway.log", *(client.log_file for client in clients)]


@pytest.mark.parametrize("away", AWAY)
def test_service_away(
    deployment: Deployment, client: Client, operator: Api, seed: int, away: tuple[str, float]
) -> None:
    name, seconds = away

    def take_away() -> None:
        wait_for_progress(conversation, random.Random(seed).randint(3, 12))
        if name in SERVICES:
            deployment.stop_program(f"orbitbot-{name}")
        else:
            deployment.init_script(name, "stop")
        away_until = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() >= away_until, "the fault is over", seconds + 1)
        if name in SERVICES:
            deployment.start_program(f"orbitbot-{name}")
        else:
            deployment.init_script(name, "start")

    conversation = prepare(client, operator, seed)
    account = play(conversation, seconds + CATCH_UP, take_away)

    assert_clean(account, logs(client))


@pytest.mark.timeout(900)
@ROUNDS
def test_bots_killed_fifty_times(
    deployment: Deployment, client: Client, neighbour: Client, operator: Api, seed: int
) -> None:
    """Two bots, each killed at random moments of its own, while day after day is played to both."""
    over = threading.Event()

    def kill(victim: Client, rng: random.Random) -> int:
        pid = 0
        for count in range(KILLS // 2):
            pid = deployment.wait_pid(victim.program, other_than=pid)
            over.wait(rng.uniform(0.0, 4.0))
            deployment.kill(pid)
            if over.is_set():
                return count + 1
        return KILLS // 2

    def days(victim: Client, rng: random.Random, killing: list[bool]) -> None:
        while killing:
            account = prepare(victim, operator, rng.randrange(1_000_000)).run(CATCH_UP)
            assert_clean(account, logs(victim))

    victims = [client, neighbour]
    killing = [True]
    with ThreadPoolExecutor(4) as pool:
        playing = [pool.submit(days, victim, random.Random(seed + 1), killing) for victim in victims]
        killers = [pool.submit(kill, victim, random.Random(f"{seed} {victim.id}")) for victim in victims]
        try:
            for done in playing:
                done.add_done_callback(lambda done: over.set() if done.exception() else None)
            kills = sum(done.result() for done in killers)
        finally:
            killing.clear()
    for done in playing:
        done.result()
    assert kills == KILLS


@ROUNDS
def test_supervisord_killed(deployment: Deployment, client: Client, operator: Api, seed: int) -> None:
    before = {info["name"]: info["pid"] for info in deployment.programs()}

    def kill() -> None:
        wait_for_progress(conversation, random.Random(seed).randint(3, 12))
        pid = int(Path("/run/supervisord.pid").read_text())
        deployment.kill(pid)
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "supervisord is gone")
        deployment.init_script("supervisor", "start")

    conversation = prepare(client, operator, seed)
    account = play(conversation, CATCH_UP, kill)

    assert_clean(account, logs(client))
    deployment.wait_ready()
    after = {info["name"]: info["pid"] for info in deployment.programs()}
    assert after.keys() == before.keys()
    assert set(after.values()).isdisjoint(before.values())
    wait_for(
        lambda: not [name for name, pid in before.items() if Path(f"/proc/{pid}").exists()],
        "what the killed supervisord ran has ended",
        DRAIN,
    )
    for name, settings in {
        **{f"orbitbot-{service}": f"{service} --settings /etc/orbitbot/" for service in SERVICES},
        client.program: f"bot --settings {client.settings_file}",
    }.items():
        found = top_processes(settings)
        assert list(found) == [after[deployment.program_name(name)]], f"{name} runs once: {found}"


@ROUNDS
def test_gateway_worker_killed(deployment: Deployment, client: Client, operator: Api, seed: int) -> None:
    rng = random.Random(seed)

    def kill() -> None:
        for exchanges in sorted(rng.sample(range(2, 14), 3)):
            wait_for_progress(conversation, exchanges)
            workers = children(deployment.pid("orbitbot-gateway"))
            deployment.kill(rng.choice(workers))

    conversation = prepare(client, operator, seed)
    account = play(conversation, CATCH_UP, kill)

    assert_clean(account, logs(client))
    workers = wait_for(
        lambda: len(children(deployment.pid("orbitbot-gateway"))) >= 2, "both workers are back"
    )
    assert workers


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_everything_at_random(
    deployment: Deployment, client: Client, neighbour: Client, operator: Api, seed: int
) -> None:
    """For ten days, one fault after another, whichever comes."""
    rng = random.Random(seed)

    def faults() -> None:
        while not conversation.is_over:
            conversation.progress.clear()
            conversation.progress.wait(rng.uniform(0.0, 3.0))
            match rng.randrange(5):
                case 0:
                    deployment.kill(deployment.pid(client.program))
                case 1:
                    deployment.kill(rng.choice(children(deployment.pid("orbitbot-gateway"))))
                case 2:
                    deployment.kill(deployment.pid("orbitbot-ai"))
                case 3:
                    deployment.kill(deployment.pid("orbitbot-speech"))
                case _:
                    deployment.init_script("postgresql", "restart")
            deployment.wait_ready()

    for _ in range(10):
        conversation = prepare(client, operator, rng.randrange(1_000_000))
        assert_clean(play(conversation, 2 * CATCH_UP, faults), logs(client))


def children(pid: int) -> list[int]:
    """The child processes."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


def top_processes(arguments: str) -> dict[int, str]:
    """Processes of `orbitbot ARGUMENTS` whose parent is not one of them, too: process id → ps's line.

    Those of hosts that other tests run on this machine (in process namespaces of their own) do not count.
    """
    listed = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    lines = [line for line in listed.stdout.splitlines() if f"/bin/orbitbot {arguments}" in line]
    found = {int(line.split()[0]): line for line in lines}
    return {
        pid: line
        for pid, line in found.items()
        if int(line.split()[1]) not in found and process_namespace(pid) == process_namespace(os.getpid())
    }


def process_namespace(pid: int) -> str:
    """The process namespace of a process; empty if it has just ended."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except FileNotFoundError:
        return ""
