"""Messages posted to a fleet's API, one after the other or at a rate, while something happens to it."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self

import httpx
import msgspec

from orbitbot.contracts.messages import MessageAnswer
from tests.support.api import Api
from tests.support.net import wait_for

PAUSE: Final = 0.05  # seconds between two posts of a sender without a rate
PATIENCE: Final = 60.0  # seconds that one post may take; nginx waits as long


@dataclass
class Posted:
    """One message: its key and its contact, and what the API said."""

    key: str
    contact: str
    status: int
    response: str = ""
    seconds: float = field(default=0.0, compare=False)


@dataclass
class Load:
    """Posts messages until the block ends; `posted` has every one that got an answer of whatever kind.

    Args:
        api: logs in anew, one for each sender: a token and its connections are one sender's.
        rate: messages a second of all senders together; 0 for as fast as they go.
        contacts: what the contacts' numbers begin with; another one for each load.
        repeats: whether a post whose connection was closed without an answer is sent again with its key, as
            bots do: a reload of nginx closes kept connections, and one that is used just then loses the race.
    """

    api: Callable[[], Api]
    client: str
    senders: int = 2
    rate: float = 0.0
    contacts: str = field(default_factory=lambda: f"5511{random.randrange(10**5):05}")
    repeats: bool = False
    repeated: list[str] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number, self.api())) for number in range(self.senders)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)

    @property
    def answered(self) -> list[Posted]:
        """Those that the API answered with the bot's words."""
        return [each for each in list(self.posted) if each.status == httpx.codes.OK]

    @property
    def failed(self) -> list[str]:
        """What went wrong with the others."""
        refused = [f"{each.key}: {each.status}" for each in list(self.posted) if each.status >= 400]
        return refused + list(self.errors)

    def wait_for_answers(self, count: int, timeout: float) -> None:
        """Wait until so many more messages were answered."""
        wanted = len(self.answered) + count
        wait_for(lambda: len(self.answered) >= wanted, f"{count} more answers", timeout)

    def _send(self, number: int, api: Api) -> None:
        due = time.monotonic() + (number / self.rate if self.rate else 0)
        with api:
            while not self._over.wait(max(0.0, due - time.monotonic()) if self.rate else PAUSE):
                key = uuid.uuid4().hex
                began = time.monotonic()
                try:
                    answer = self._post(api, f"{self.contacts}{number:03}", key)
                except httpx.HTTPError as error:
                    self.errors.append(f"{key}: {error!r}")
                else:
                    self.posted.append(replace(answer, seconds=time.monotonic() - began))
                due += self.senders / self.rate if self.rate else 0

    def _post(self, api: Api, contact: str, key: str) -> Posted:
        try:
            return post(api, self.client, contact, key)
        except httpx.RemoteProtocolError:
            if not self.repeats:
                raise
            self.repeated.append(key)
            return post(api, self.client, contact, key)


def post(api: Api, client: str, contact: str, key: str) -> Posted:
    """Post one message; a later post with the same key gets the stored answer."""
    answer = api.http.post(
        f"/api/clients/{client}/messages",
        json={"message": "Bom dia", "type": "text", "from": contact},
        headers={"Idempotency-Key": key},
        timeout=PATIENCE,
    )
    if answer.status_code != httpx.codes.OK:
        return Posted(key, contact, answer.status_code)
    return Posted(
        key, contact, answer.status_code, msgspec.json.decode(answer.content, type=MessageAnswer).response
    )
