"""Plays the day to the deployed bots while something is broken, and accounts for every message."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.acceptance.conversation import Account, Conversation, speak_all
from tests.acceptance.deployment import Client
from tests.acceptance.scenario import load_day
from tests.support.api import Api
from tests.support.net import wait_for

PROGRESS_TIMEOUT: Final = 60.0  # seconds


def prepare(client: Client, operator: Api, seed: int) -> Conversation:
    """A day, ready to be played."""
    contacts = load_day(seed)
    return Conversation(
        contacts,
        client_id=client.id,
        state_directory=client.state_directory,
        api=operator,
        notes=speak_all(contacts, seed),
        seed=seed,
    )


def play(conversation: Conversation, timeout: float, disturb: Callable[[], None]) -> Account:
    """Play the day while `disturb` runs beside it; where that fails, the day is over, too."""
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(conversation.run, timeout)
        try:
            disturb()
        except BaseException:
            conversation.abandoned.set()
            raise
        return playing.result()


def wait_for_progress(conversation: Conversation, exchanges: int) -> None:
    """Wait until so many exchanges are final; the day must not be over then."""
    wait_for(lambda: conversation.finals >= exchanges, f"{exchanges} exchanges are final", PROGRESS_TIMEOUT)
    assert not conversation.is_over, "the day was over before the fault"


def assert_clean(account: Account, evidence: Sequence[Path] = ()) -> None:
    """Every message answered once or silenced; else the complaints and the ends of the logs are shown."""
    if account.is_clean and account.answered + account.silenced.total() == account.messages:
        return
    logs = [f"--- {path}\n{path.read_text(errors='replace')[-3000:]}" for path in evidence]
    raise AssertionError("\n".join([str(account), *account.complaints(), *logs]))
