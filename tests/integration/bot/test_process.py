"""The process itself: one per directory, none without a parent, a clean and quick end, a small size."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from orbitbot import __version__
from tests.integration.bot.bot_process import BotProcess, kill_if_there, process_exists
from tests.support.gateway_double import GatewayDouble, Hang
from tests.support.net import wait_for

NUMBER = "5511987654321"


def started(bot: BotProcess, gateway: GatewayDouble) -> None:
    bot.start()
    wait_for(lambda: gateway.statuses and gateway.statuses[-1].state == "connected", "the bot is connected")


def test_it_says_how_it_is_from_start_to_end(bot: BotProcess, gateway: GatewayDouble) -> None:
    started(bot, gateway)
    status = gateway.statuses[-1]
    assert (status.channel, status.release, status.pid) == ("simulator", __version__, bot.pid)
    assert bot.terminate() == 0
    assert gateway.statuses[-1].state == "stopping"


def test_sigterm_ends_it_cleanly_within_two_seconds_whatever_it_is_doing(
    bot: BotProcess, gateway: GatewayDouble
) -> None:
    started(bot, gateway)
    gateway.script("messages", *[Hang(30.0)] * 3)
    gateway.script("bot", *[Hang(30.0)] * 3)
    for n in range(3):
        bot.phone(f"551190000000{n}").text("oi")
    wait_for(lambda: gateway.calls["messages"] == 3, "three turns hang")
    began = time.monotonic()
    assert bot.terminate() == 0
    assert time.monotonic() - began < 2.0
    assert '"message":"bot stopped"' in bot.log.read_text().splitlines()[-1]
    assert "Traceback" not in bot.log.read_text()


def test_sigterm_while_the_gateway_is_away_ends_it_as_quickly(
    bot: BotProcess, gateway: GatewayDouble
) -> None:
    started(bot, gateway)
    with gateway.away():
        began = time.monotonic()
        assert bot.terminate() == 0
        assert time.monotonic() - began < 2.0


def test_a_second_process_on_the_same_directory_is_refused(bot: BotProcess, gateway: GatewayDouble) -> None:
    started(bot, gateway)
    began = time.monotonic()
    second = subprocess.run(bot.command, capture_output=True, text=True, timeout=10, check=False)
    assert second.returncode == os.EX_TEMPFAIL
    assert time.monotonic() - began < 3.0
    assert f"held by another process (pid {bot.pid})" in second.stderr
    assert "Traceback" not in second.stderr
    assert bot.is_running()
    bot.phone(NUMBER).text("oi")
    bot.phone(NUMBER).wait(lambda received: len(received) == 1, timeout=10.0)


def test_the_lock_goes_with_the_process(bot: BotProcess, gateway: GatewayDouble) -> None:
    started(bot, gateway)
    bot.kill()
    gateway.statuses.clear()
    started(bot, gateway)


def test_a_killed_parent_leaves_no_bot_behind(bot: BotProcess, gateway: GatewayDouble) -> None:
    script = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); p.wait()"
    with bot.log.open("ab") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", script, *bot.command], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    try:
        wait_for(lambda: gateway.statuses and gateway.statuses[-1].pid == child, "the bot runs")
        parent.kill()
        parent.wait()
        wait_for(lambda: not process_exists(child), "the bot is gone", timeout=3.0)
        assert gateway.statuses[-1].state == "stopping", "it ended cleanly"
    finally:
        kill_if_there(child)


def test_a_bot_whose_parent_ended_while_it_started_does_not_run(bot: BotProcess) -> None:
    # The parent that main() saw first is not the present one: it has ended, and the bot was adopted.
    script = (
        "import os, sys; from pathlib import Path; from orbitbot.bot import main\n"
        "seen, present = iter([os.getppid() + 1]), os.getppid\n"
        "os.getppid = lambda: next(seen, None) or present()\n"
        "sys.exit(main.main(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(bot.settings_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == os.EX_TEMPFAIL
    assert "ended while this one was starting" in done.stderr
    assert not (bot.state / "journal.db").exists()


def test_wrong_settings_name_file_and_field(bot: BotProcess) -> None:
    for wrong, expected in (
        ('client_id = "padaria"', "channel"),
        (bot.settings_file.read_text().replace("padaria", "Padaria", 1), "'Padaria' is not a client id"),
        (bot.settings_file.read_text().replace("http://", "ftp://"), "not an http:// or https:// address"),
        (bot.settings_file.read_text().replace("simulator", "pigeon"), "channel"),
        (bot.settings_file.read_text() + 'colour = "red"\n', "colour"),
        (bot.settings_file.read_text().replace(str(bot.state), "/nowhere/at/all", 1), "/nowhere/at/all"),
    ):
        file = bot.settings_file.with_name("wrong.toml")
        file.write_text(wrong)
        command = [*bot.command[:-1], str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 2, done.stderr
        assert expected in done.stderr
        assert "Traceback" not in done.stderr


def test_nothing_of_a_conversation_is_in_the_log_and_nothing_is_readable_by_others(
    bot: BotProcess, gateway: GatewayDouble
) -> None:
    gateway.answer = lambda post: "uma resposta secreta"
    started(bot, gateway)
    phone = bot.phone(NUMBER)
    phone.text("uma pergunta secreta")
    phone.wait(lambda received: len(received) == 1, timeout=10.0)
    assert bot.terminate() == 0
    log = bot.log.read_text()
    assert "turn delivered" in log
    for secret in ("secreta", NUMBER, gateway.credential["secret"], *gateway.tokens):
        assert secret not in log
    made = [
        path for path in bot.state.rglob("*") if path.name not in {"inbox", "media", "outbox", "simulator"}
    ]
    assert {path.name for path in made} >= {"journal.db", "lock"}
    for path in made:
        if path.name != "credential.json":
            assert not path.stat().st_mode & 0o077, path


def test_it_stays_small(bot: BotProcess, gateway: GatewayDouble) -> None:
    started(bot, gateway)
    phone = bot.phone(NUMBER)
    for n in range(20):
        phone.voice(os.urandom(200_000))
        phone.text(f"pergunta {n}")
    wait_for(lambda: len(gateway.messages) == 40, "everything posted")
    phone.wait(lambda received: len(received) == len(gateway.turns), timeout=20.0)
    memory = bot.memory()
    print(f"memory in KiB: {memory}")
    assert memory["Rss"] < 45_000
    assert memory["Private_Dirty"] < 32_000


def test_what_it_does_not_need_is_not_open(bot: BotProcess, gateway: GatewayDouble) -> None:
    started(bot, gateway)
    children = Path(f"/proc/{bot.pid}/task/{bot.pid}/children").read_text().split()
    assert children == []
    os.kill(bot.pid, signal.SIGINT)
    assert bot.wait() == 0
