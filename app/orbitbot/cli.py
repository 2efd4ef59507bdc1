"""The `orbitbot` command. Imports of rooms are lazy, so that a bot loads nothing of the gateway's."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orbitbot import __version__
from orbitbot.foundation.errors import OrbitBotError, SettingsError

if TYPE_CHECKING:  # a bot needs none: see `_bot_settings`
    import argparse

EXIT_FAILED = 1
EXIT_USAGE = 2  # argparse's own code for a wrong command line; wrong settings are the same kind of error

_SERVICES = {
    "gateway": "the public REST API",
    "ai": "the AI service: prompt, provider, memory",
    "speech": "the speech node: voice notes to text",
    "bot": "one client's bot process",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code.

    An error that this package raises on purpose is one line on standard error: code 2 for settings,
    1 for everything else.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["say"]:  # has a command line of its own
            code: int = _room("bot.say").main(given[1:])
        elif (settings := _bot_settings(given)) is not None:
            _room("bot.small").stay_small(settings)
            code = _room("bot.main").main(settings)
        else:
            code = _run(_parser().parse_args(given))
    except SettingsError as error:
        return _fail(error, EXIT_USAGE)
    except OrbitBotError as error:
        return _fail(error, EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_FAILED
    return code


def _fail(error: OrbitBotError, code: int) -> int:
    print(f"orbitbot: {' '.join(error.detail.split())}", file=sys.stderr)  # noqa: T201  (a command's output)
    return code


def _bot_settings(given: Sequence[str]) -> Path | None:
    """The settings file, where the command line is the one that starts a bot."""
    match given:
        case ["bot", "--settings", path]:
            return Path(path)
    return None


def _parser() -> "argparse.ArgumentParser":
    import argparse  # noqa: PLC0415  (and with it gettext: hundreds of bots do without)

    parser = argparse.ArgumentParser(
        prog="orbitbot", description="AI assistants on WhatsApp for many clients."
    )
    parser.add_argument("--version", action="version", version=f"orbitbot {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in _SERVICES.items():
        service = commands.add_parser(name, help=f"run {what}")
        _add_settings(service, f"the service's TOML file, such as /etc/orbitbot/{name}.toml")
        if name != "bot":
            service.add_argument("--port", type=int, help="listen on this port instead of the file's")

    migrate = commands.add_parser("migrate", help="bring the database schema up to date")
    _add_settings(migrate, "such as /etc/orbitbot/migrate.toml")
    migrate.add_argument(
        "--finalize", action="store_true", help="also run this release's own post migrations"
    )
    migrate.add_argument(
        "--settled", metavar="N,N…", help="numbers of the migrations that every running release knows"
    )
    migrate.add_argument("--show", action="store_true", help="change nothing; print what was applied")

    operator = commands.add_parser("set-operator", help="create an operator, or change the password")
    operator.add_argument("name", help="the operator's name, which is the user name at login")
    operator.add_argument("--password-file", type=Path, required=True, metavar="FILE")
    _add_settings(operator, "such as /etc/orbitbot/migrate.toml")

    why = commands.add_parser("why", help="tell the story of one message or turn")
    why.add_argument("id", metavar="MESSAGE_ID", help="the channel's message id, or a turn's id")
    _add_settings(why, "the gateway's TOML file, such as /etc/orbitbot/gateway.toml")
    why.add_argument("--client", metavar="CLIENT_ID", help="look at this client only")
    why.add_argument("--json", action="store_true", help="print JSON")
    why.add_argument("--show-text", action="store_true", help="print what was said, too")

    erase = commands.add_parser("erase-contact", help="erase everything that is kept of a contact")
    erase.add_argument("client", metavar="CLIENT", help="the client's id")
    erase.add_argument("contact", metavar="CONTACT", help="the telephone number in digits, or channel id")
    _add_settings(erase, "the gateway's TOML file, such as /etc/orbitbot/gateway.toml")
    erase.add_argument(
        "--wait", type=float, default=60.0, metavar="SECONDS", help="for the bot to forget, too (%(default)g)"
    )

    pair = commands.add_parser("pair", help="link a client's phone: shows the QR code here")
    pair.add_argument("client", metavar="CLIENT", help="the client's id")
    _add_settings(pair, "the gateway's TOML file, such as /etc/orbitbot/gateway.toml")
    pair.add_argument("--phone", metavar="NUMBER", default="", help="show a code to type into this phone")
    pair.add_argument(
        "--timeout", type=float, default=600.0, metavar="SECONDS", help="how long to try (%(default)g)"
    )

    commands.add_parser("say", help="speak to a bot on the simulator channel", add_help=False)
    return parser


def _add_settings(parser: "argparse.ArgumentParser", what: str) -> None:
    parser.add_argument("--settings", type=Path, required=True, metavar="FILE", help=what)


def _run(given: "argparse.Namespace") -> int:
    """Import what the command needs, and nothing else."""
    code: int
    match given.command:
        case "migrate":
            code = _room("foundation.migrations").main(
                given.settings, finalize=given.finalize, settled=given.settled, show=given.show
            )
        case "set-operator":
            code = _room("clients.operators").main(given.name, given.password_file, given.settings)
        case "why":
            code = _room("gateway.why").main(
                given.id,
                given.settings,
                client_id=given.client,
                as_json=given.json,
                show_text=given.show_text,
            )
        case "erase-contact":
            code = _room("gateway.forgetting").main(
                given.client, given.contact, given.settings, wait=given.wait
            )
        case "pair":
            code = _room("gateway.pair").main(
                given.client, given.settings, phone=given.phone, seconds=given.timeout
            )
        case "bot":
            code = _room("bot.main").main(given.settings)
        case service:
            code = _room(f"{service}.main").main(given.settings, port=given.port)
    return code


def _room(module: str) -> Any:
    return importlib.import_module(f"orbitbot.{module}")
