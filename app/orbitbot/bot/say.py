"""`orbitbot say CLIENT TEXT`: speak to a bot on the simulator channel and see its answer."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from orbitbot.bot.channels.simulator import SimulatorSent
from orbitbot.bot.channels.simulator_phone import NoAnswer, SimulatorPhone
from orbitbot.bot.settings import load_process_settings
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.names import settings_file

DEFAULT_NUMBER = "5511900000000"
EXIT_NO_ANSWER = 1


def main(arguments: Sequence[str]) -> int:
    """Drop a message into the client's inbox and print what comes back; 1 if nothing does.

    Raises:
        InvalidInput: no such client here, not on the simulator channel, or no such voice note.
        SettingsError: its settings file cannot be read.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.text and not given.voice:
        parser.error("nothing to say: give TEXT or --voice FILE")
    settings = load_process_settings(given.settings or Path(settings_file(given.client)))
    if settings.channel != "simulator":
        raise InvalidInput("CLIENT", f"{given.client} is on {settings.channel}, not on the simulator channel")
    phone = SimulatorPhone(Path(settings.state_directory), given.number)
    try:
        before = {each.id for each in phone.received()}
        sent_at = time.monotonic()
        if given.voice:
            phone.voice(given.voice.read_bytes())
        if given.text:
            phone.text(given.text)
    except OSError as error:
        raise InvalidInput("CLIENT", f"{error.filename or given.client}: {error.strerror}") from error
    try:
        received = phone.wait(lambda all_: _complete(_new(all_, before)), timeout=given.timeout)
    except NoAnswer:
        received = phone.received()
    answer = _new(received, before)
    for message in answer:
        print(message.text)  # noqa: T201  (a command's output)
    if _complete(answer):
        print(f"({time.monotonic() - sent_at:.1f} s)", file=sys.stderr)  # noqa: T201
        return 0
    print(  # noqa: T201
        f"orbitbot: no answer within {given.timeout:g} s; the bot's log and `orbitbot why` say more",
        file=sys.stderr,
    )
    return EXIT_NO_ANSWER


def _new(received: Sequence[SimulatorSent], before: set[str]) -> list[SimulatorSent]:
    return [each for each in received if each.id not in before]


def _complete(answer: Sequence[SimulatorSent]) -> bool:
    """Whether the last part of an answer is there."""
    return any(each.part == each.parts for each in answer)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orbitbot say", description="Speak to a bot on the simulator channel and print its answer."
    )
    parser.add_argument("client", metavar="CLIENT", help="the client's id")
    parser.add_argument("text", metavar="TEXT", nargs="?", default="", help="what to say")
    parser.add_argument("--voice", type=Path, metavar="FILE", help="an OGG/Opus file to send as a voice note")
    parser.add_argument(
        "--from", dest="number", default=DEFAULT_NUMBER, metavar="NUMBER", help="who speaks (%(default)s)"
    )
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="how long to wait (%(default)g)"
    )
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="the bot's settings (/etc/orbitbot/bots/CLIENT.toml)"
    )
    return parser
