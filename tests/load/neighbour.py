"""Runs on the host of bench-seal: one bot that answers, and three hostile ones beside it, in turns.

python3 -m tests.load.neighbour RELEASE FOLDER ROUNDS MESSAGES      prints one line of JSON
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from orbitbot.bot.channels.simulator_phone import SimulatorPhone
from orbitbot.contracts.bot import BotSettings
from tests.load.complete_bot import BotWithDouble
from tests.support.net import wait_for
from tests.support.sealed import SealedBot

LIMITS = {"memory": 160, "cpu": 25, "tasks": 64}  # the role's defaults
HOSTILE = {"fork": "refused", "hog": "held", "spin": "spinning"}  # and the sign that each is at work
NUMBER = "5511900004000"
WARM_UP = 50  # messages
PAUSE = 0.02  # seconds between an answer and the next message, so that nothing is in step


class Hostile:
    """A hostile bot that is started again whenever it has ended, as supervisor would."""

    def __init__(self, folder: Path, what: str) -> None:
        self._bot = SealedBot(folder, f"hostile-{what}")
        self._what = what
        self._ended = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep)

    def start(self) -> None:
        """Begin, and wait until it is at work."""
        (self._bot.state / HOSTILE[self._what]).unlink(missing_ok=True)
        self._ended.clear()
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()
        self._bot.wrote(HOSTILE[self._what])

    def stop(self) -> None:
        """End all of it."""
        self._ended.set()
        if self._child is not None:
            self._child.kill()
        self._thread.join()
        self._bot.end()

    def _keep(self) -> None:
        while not self._ended.is_set():
            self._child = subprocess.Popen(
                self._bot.command(self._what, **LIMITS),
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._child.wait()
            self._ended.wait(1.0)


@contextlib.contextmanager
def beside(bots: list[Hostile]) -> Iterator[None]:
    """Hostile bots for the length of the block."""
    for bot in bots:
        bot.start()
    try:
        yield
    finally:
        for bot in bots:
            bot.stop()


def exchange(phone: SimulatorPhone, count: int) -> list[float]:
    """Seconds from a message to its answer, one after the other."""
    seconds = []
    for _ in range(count):
        before = len(phone.received())
        began = time.monotonic()
        phone.text("Tem pão?")
        wait_for(lambda before=before: len(phone.received()) > before, "an answer", 60)
        seconds.append(time.monotonic() - began)
        time.sleep(PAUSE)
    return seconds


def main() -> None:
    """Measure in turns, which side first changing each time."""
    release, folder, rounds, messages = (
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]),
    )
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    quiet = BotWithDouble(folder, release, "quiet", "simulator", {})
    quiet.gateway.settings = BotSettings(
        quiet_seconds=0.0, burst_seconds=0.0, loop_turns=1000, typing_characters_per_second=0
    )
    hostile = [Hostile(folder, what) for what in HOSTILE]
    sides: dict[str, list[list[float]]] = {"alone": [], "beside": []}
    try:
        for name in ("inbox", "media", "outbox"):
            (quiet.state / "simulator" / name).mkdir(parents=True, exist_ok=True)
        quiet.give_away()
        quiet.start()
        phone = SimulatorPhone(quiet.state, NUMBER)
        exchange(phone, WARM_UP)
        for turn in range(rounds):
            for side in ("alone", "beside") if turn % 2 else ("beside", "alone"):
                with beside(hostile if side == "beside" else []):
                    sides[side].append(exchange(phone, messages))
                for sent in (quiet.state / "simulator/outbox").glob("*.json"):
                    sent.unlink()
        alive = quiet.is_running()
    finally:
        for bot in hostile:
            bot.stop()
        quiet.close()
    print(json.dumps({"sides": sides, "alive": alive}))


if __name__ == "__main__":
    main()
