"""A day in the life of a neighbourhood bakery, played to the bot of a client on the simulator channel.

    python -m tests.acceptance.day --client padaria --state /var/lib/orbitbot/bots/padaria

New messages at every run: fresh ids, and words that the seed chooses (printed; `--seed` repeats them). Shows
the conversation, then where time went, then what became of every message. Exit status 0 if each one was
answered once or silenced with a reason, 1 if any was lost, answered twice, failed or garbled.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx

from orbitbot.foundation.names import state_directory
from tests.acceptance.conversation import Conversation, speak_all
from tests.acceptance.report import Screen
from tests.acceptance.scenario import load_day
from tests.acceptance.vault import VAULT, read_vault
from tests.support.api import OPERATOR, Api, ApiError

DEFAULT_API: Final = "https://localhost"
DEFAULT_TIMEOUT: Final = 90.0  # seconds
SEEDS: Final = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Play one day; returns the exit status."""
    given = _parser().parse_args(arguments)
    seed = random.SystemRandom().randrange(SEEDS) if given.seed is None else given.seed
    state = given.state or Path(state_directory(given.client))
    screen = Screen()
    contacts = load_day(seed)
    texts = sum(not line.is_voice for contact in contacts for line in contact.lines)
    notes = speak_all(contacts, seed)
    screen.say(
        f"A day at {given.client}: {len(contacts)} contacts, {texts} texts, {len(notes)} voice notes"
        f" (seed {seed})\n"
    )
    with _open_api(given.api, given.vault, given.ca_file, given.token_file) as api:
        conversation = Conversation(
            contacts,
            client_id=given.client,
            state_directory=state,
            api=api,
            notes=notes,
            seed=seed,
            on_final=screen.show,
        )
        started = time.monotonic()
        account = conversation.run(given.timeout)
        screen.times(conversation.plays)
        screen.say(f"\nthe whole conversation took {time.monotonic() - started:.1f} s")
        screen.counts(account)
    return 0 if account.is_clean else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.day", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--client", required=True, metavar="ID", help="a client on the simulator channel")
    parser.add_argument("--state", type=Path, metavar="DIR", help="the bot's state directory")
    parser.add_argument("--seed", type=int, help="chooses words and voices; a new one where left out")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds (%(default)s)")
    parser.add_argument("--api", default=DEFAULT_API, metavar="URL", help="%(default)s where left out")
    parser.add_argument("--vault", type=Path, default=VAULT, help="holds operator's password and CA")
    parser.add_argument("--ca-file", type=Path, help="trust this certificate authority, not the vault's")
    parser.add_argument(
        "--token-file", type=Path, help="an operator's token, instead of the vault's password"
    )
    return parser


def _open_api(url: str, vault: Path, ca_file: Path | None, token_file: Path | None) -> Api:
    """The API as an operator."""
    needs_authority = url.startswith("https:") and ca_file is None
    secrets = read_vault(vault) if needs_authority or token_file is None else None
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as certificate:
        if needs_authority and secrets is not None:
            certificate.write(secrets.ca_certificate)
            certificate.flush()
            ca_file = Path(certificate.name)
        token = token_file.read_text().strip() if token_file is not None else ""
        api = Api(url, ca_file, token)
        if secrets is None or token:
            return api
        with api:
            return api.as_operator(secrets.vault_operator_password, OPERATOR)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (httpx.HTTPError, ApiError) as error:
        sys.exit(f"the API cannot be used: {error}")
