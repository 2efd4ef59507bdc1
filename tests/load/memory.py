"""`make bench-memory`: what a complete bot takes, beside Baileys and beside a browser.

    20 bots     sealed off as on a host, linked, connected to the local WhatsApp server, three answers given
    20 Baileys  one Node process each, connected to the same server, nothing else in them
     5 pages    Node and headless Chromium each, on a blank page

All by proportional set size; a bot's bubblewrap counts with it. And how long a bot alone takes from its start
to the first code to scan.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from orbitbot.contracts.pairing import QrShown
from tests.load.complete_bot import CACHE, BotWithDouble, make_release
from tests.load.footprint import family, parts, proportional
from tests.load.report import Report, median
from tests.support.net import free_port, wait_for
from tests.whatsapp.handle import WhatsApp
from tests.whatsapp.linking import link
from tests.whatsapp.remote import RemoteWhatsApp

BESIDE: Final = Path(__file__).with_name("baileys")
NUMBER: Final = "551190002{:04d}"
CONTACT: Final = "551190003{:04d}"
MESSAGES: Final = 3  # that each bot answers before it is measured
SETTLE: Final = 10.0  # seconds after which nothing is left to be given back
STARTS: Final = 5  # whose median counts
READY: Final = 120.0  # seconds


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.memory", description=__doc__)
    parser.add_argument("--bots", type=int, default=20)
    parser.add_argument("--pages", type=int, default=5)
    given = parser.parse_args()
    report = Report("memory")
    packages = install_beside()
    release = make_release()
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="obm") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        starts = start_to_code(report, folder, release)
        bots = measure_bots(report, folder, release, given.bots)
        baileys = measure_baileys(report, folder, packages, given.bots)
        pages = measure_pages(report, folder, given.pages)
    report.at_most("a bot", bots, 32.0, " MiB")
    report.at_most("a bot, of a Baileys that connects", bots / baileys, 0.5)
    report.at_most("a bot, of Node with a browser", bots / pages, 1 / 6)
    report.at_most("start to the first code", starts, 2.0, " s")
    return report.finish()


def install_beside() -> Path:
    """Baileys from its lock file, into a cache folder."""
    folder = CACHE / "beside"
    CACHE.mkdir(mode=0o711, exist_ok=True)
    folder.mkdir(exist_ok=True)
    lock = (BESIDE / "package-lock.json").read_bytes()
    installed = folder / "installed-lock.json"
    if not installed.exists() or installed.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(BESIDE / name, folder)
        command = [
            "npm",
            "ci",
            "--omit=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--legacy-peer-deps",
        ]
        subprocess.run(command, cwd=folder, check=True)
        installed.write_bytes(lock)
    return folder


def environment_for_bots(whatsapp: WhatsApp | RemoteWhatsApp, release: Path) -> dict[str, str]:
    """What leads a sealed bot to the server: its own readable copies of certificate and key patch."""
    variables = whatsapp.environment()
    authority = release / "authority.pem"
    authority.write_bytes(Path(variables["SSL_CERT_FILE"]).read_bytes())
    return variables | {"SSL_CERT_FILE": str(authority), "PYTHONPATH": str(release / "site")}


def start_to_code(report: Report, folder: Path, release: Path) -> float:
    """Seconds from the launcher's start to the code at the gateway, of one bot alone; the median."""
    times = []
    with WhatsApp() as whatsapp:
        variables = environment_for_bots(whatsapp, release)
        for n in range(STARTS + 1):
            bot = BotWithDouble(folder, release, f"first-{n}", "neonize", variables)
            try:
                bot.give_away()
                began = time.monotonic()
                bot.start()
                wait_for(lambda bot=bot: any(isinstance(each, QrShown) for each in bot.gateway.pairings),
                         f"a code; the log: {bot.log}", READY)  # fmt: skip
                seconds = time.monotonic() - began
                if n:  # the first one reads the release from the disk
                    times.append(seconds)
                    report.sample("start", seconds=seconds)
            finally:
                bot.close()
    report.say(f"start to the first code: {', '.join(f'{each:.2f}' for each in times)} s")
    return median(times)


def measure_bots(report: Report, folder: Path, release: Path, count: int) -> float:
    """MiB of one bot, the mean of `count`."""
    with WhatsApp() as whatsapp, ExitStack() as stack:
        variables = environment_for_bots(whatsapp, release)
        bots = []
        for n in range(count):
            bots.append(BotWithDouble(folder, release, f"bot-{n}", "neonize", variables))
            stack.callback(bots[-1].close)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda n: link(whatsapp, bots[n].state, NUMBER.format(n)), range(count)))
        for n, bot in enumerate(bots):
            bot.give_away()
            bot.start()
            wait_for(lambda n=n: whatsapp.is_ready(NUMBER.format(n)), f"{bot.client} is connected", READY)
        for n, bot in enumerate(bots):
            for message in range(MESSAGES):
                whatsapp.say(NUMBER.format(n), CONTACT.format(n), f"Pergunta {message}")
                wait_for(
                    lambda n=n, message=message: len(whatsapp.sent(NUMBER.format(n))) > message,
                    f"{bot.client} answers", READY,
                )  # fmt: skip
        time.sleep(SETTLE)  # garbage is given back
        for bot in bots:
            report.sample(
                "bot", mib=proportional(bot.processes()), processes=[parts(pid) for pid in bot.processes()]
            )
        sizes = [proportional(bot.processes()) for bot in bots]
        assert all(bot.is_running() for bot in bots)
        report.say(f"{count} bots: {sum(sizes) / count:.1f} MiB each ({min(sizes):.1f} to {max(sizes):.1f})")
        return sum(sizes) / count


def measure_baileys(report: Report, folder: Path, packages: Path, count: int) -> float:
    """MiB of one Node process with Baileys, the mean of `count`."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.whatsapp",
        "--tls-port",
        str(port),
        "--directory",
        str(folder / "ca"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        server.stdout.readline()
        url = f"wss://web.whatsapp.com:{port}/ws/chat"
        environment = os.environ | {"NODE_EXTRA_CA_CERTS": str(folder / "ca/ca.pem")}
        sessions = [str(folder / f"session-{n}") for n in range(count)]
        commands = [["node", str(BESIDE / "connecting.mjs"), url, session] for session in sessions]
        try:
            with running(commands, packages, environment) as nodes:
                wait_for(lambda: _connections(port) >= count, "every Baileys is connected", READY)
                time.sleep(SETTLE)
                assert _connections(port) >= count, "some Baileys have left"
                return _mean(report, "baileys", [[node.pid] for node in nodes])
        finally:
            server.terminate()


def measure_pages(report: Report, folder: Path, count: int) -> float:
    """MiB of Node and a browser with a blank page, the mean of `count`."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise FileNotFoundError("bench-memory needs Debian's package `chromium`: run `make bench-memory`")
    profiles = [str(folder / f"profile-{n}") for n in range(count)]
    commands = [["node", str(BESIDE / "page.mjs"), chromium, profile] for profile in profiles]
    with running(commands, folder, dict(os.environ)) as nodes:
        for node in nodes:
            assert node.stdout is not None
            assert node.stdout.readline() == b"ready\n"
        time.sleep(SETTLE)
        return _mean(report, "page", [family(node.pid) for node in nodes])


@contextmanager
def running(
    commands: list[list[str]], folder: Path, environment: dict[str, str]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes for the length of the block."""
    with ExitStack() as stack:
        nodes = []
        for command in commands:
            node = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
            stack.callback(_end, node)
            nodes.append(node)
        yield nodes


def _end(node: subprocess.Popen[bytes]) -> None:
    for pid in reversed(family(node.pid)):
        _quietly(lambda pid=pid: os.kill(pid, 9))
    node.wait(20)
    if node.stdout is not None:
        node.stdout.close()


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except ProcessLookupError:
        return


def _connections(port: int) -> int:
    """Established connections to a port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def _mean(report: Report, side: str, groups: list[list[int]]) -> float:
    sizes = [proportional(pids) for pids in groups]
    for size in sizes:
        report.sample(side, mib=size)
    mean = sum(sizes) / len(sizes)
    report.say(f"{len(sizes)} {side}: {mean:.1f} MiB each ({min(sizes):.1f} to {max(sizes):.1f})")
    return mean


if __name__ == "__main__":
    sys.exit(main())
