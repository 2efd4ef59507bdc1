"""The rules of the ledger: who works on a turn, which state may follow which, what a report changes."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from psycopg.errors import ForeignKeyViolation

from orbitbot.contracts.journal import MAX_TURNS, JournaledTurn, JournalExcerpt
from orbitbot.contracts.reports import (
    Changed,
    Delivery,
    Receipt,
    Report,
    Reports,
    Resumed,
    SameContact,
    SendOutcome,
    SetAside,
    TakenOver,
)
from orbitbot.conversations import changes, store
from orbitbot.conversations.models import Answer, NewTurn, Turn
from orbitbot.conversations.sends import outcomes
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import Conflict, InvalidInput, NotFound
from orbitbot.foundation.text import check_strings

MAX_REPORTS: Final = 200
MAX_ID: Final = 200  # characters of a message's or contact's id
MAX_TIME: Final = 4_102_444_800.0  # 2100-01-01: later than any clock that is merely wrong
MAX_PAUSE: Final = 525_600.0  # minutes
_MAX_REASON: Final = 2000  # characters
_MAX_TEXT: Final = 100_000  # characters of a message's text in a report

log = logging.getLogger(__name__)


class ClaimLostError(Exception):
    """Another worker works on the turn now, or its bot has reported it failed."""


class Begun(msgspec.Struct, frozen=True):
    """A turn, and whether it is the caller's to work on."""

    turn: Turn
    claimed: bool


class Ledger:
    """The ledger of every client, one client at a time.

    Args:
        worker: name of this gateway worker, different for each process and start.
        claim_seconds: how long a claim holds without a sign of life.
    """

    def __init__(self, database: Database, worker: str, claim_seconds: float) -> None:
        self._database = database
        self._worker = worker
        self._claim_seconds = claim_seconds

    async def begin(self, new: NewTurn) -> Begun:
        """Store the turn and claim it, or claim the stored one if nobody works on it.

        Raises:
            Conflict: the id was used for another post, or one of the messages is part of another turn
                or was set aside.
            NotFound: there is no such client.
        """
        async with self._writing(new.client_id) as connection:
            if new.replaces:
                await changes.give_up(connection, new.client_id, new.replaces)
            inserted, added = await store.begin(connection, new, self._worker, self._claim_seconds)
            if inserted and added < len(new.messages):
                raise Conflict("a message of this turn belongs to another turn, or was set aside")
            turn = await store.read_turn(connection, new.client_id, new.id)
        if turn is None:
            raise NotFound(f"there is no client {new.client_id!r}")
        if turn.fingerprint != new.fingerprint:
            raise Conflict("this Idempotency-Key was used for another message")
        return Begun(turn, claimed=inserted is not None)

    async def read(self, client_id: str, turn_id: str) -> Turn:
        """One turn.

        Raises:
            NotFound: there is none with this id.
        """
        async with self._database.client(client_id) as connection:
            turn = await store.read_turn(connection, client_id, turn_id)
        if turn is None:
            raise NotFound(f"there is no turn {turn_id!r}")
        return turn

    async def extend(self, turn: Turn) -> bool:
        """Give a sign of life for a turn that this worker runs; False if it is not ours any more."""
        async with self._database.client(turn.client_id) as connection:
            return await store.extend(connection, turn.client_id, turn.id, self._worker, self._claim_seconds)

    async def release(self, turn: Turn) -> None:
        """Let another worker take the turn over at once."""
        async with self._database.client(turn.client_id) as connection:
            await store.release(connection, turn.client_id, turn.id, self._worker)

    async def transcribed(self, turn: Turn, lines: list[str]) -> Turn:
        """Store what was heard, one line for each voice note.

        Raises:
            ClaimLostError: the turn is not this worker's any more.
        """
        text = "\n".join(" ".join(line.split()) for line in lines).replace("\0", "")
        async with self._database.client(turn.client_id) as connection:
            done = await store.transcribed(connection, turn.client_id, turn.id, self._worker, text)
            return self._still_ours(done, await store.read_turn(connection, turn.client_id, turn.id))

    async def waiting(self, turn: Turn, *, notice: str, after: float) -> None:
        """Store that the turn's voice notes wait for a speech node, and what its contact is told.

        Args:
            after: seconds of waiting from which `notice` is told.

        Raises:
            ClaimLostError: the turn is not this worker's any more.
        """
        async with self._database.client(turn.client_id) as connection:
            done = await store.waiting(
                connection, turn.client_id, turn.id, self._worker, notice=notice, after=after
            )
        if not done:
            raise ClaimLostError

    async def answered(self, turn: Turn, answer: Answer) -> Turn:
        """Store the answer.

        Raises:
            ClaimLostError: the turn is not this worker's any more.
        """
        async with self._database.client(turn.client_id) as connection:
            done = await store.answered(connection, turn.client_id, turn.id, self._worker, answer)
            return self._still_ours(done, await store.read_turn(connection, turn.client_id, turn.id))

    async def failed(self, turn: Turn, reason: str) -> Turn:
        """Store that there will be no answer, and why.

        Raises:
            ClaimLostError: the turn is not this worker's any more.
        """
        reason = reason.replace("\0", "")[:_MAX_REASON]
        async with self._database.client(turn.client_id) as connection:
            done = await store.failed(connection, turn.client_id, turn.id, self._worker, reason)
            return self._still_ours(done, await store.read_turn(connection, turn.client_id, turn.id))

    async def silenced(self, turn: Turn, reason: str) -> Turn:
        """Store that the turn is on purpose not answered, and why.

        Raises:
            ClaimLostError: the turn is not this worker's any more.
        """
        async with self._database.client(turn.client_id) as connection:
            done = await store.silenced(connection, turn.client_id, turn.id, self._worker, reason)
            return self._still_ours(done, await store.read_turn(connection, turn.client_id, turn.id))

    @asynccontextmanager
    async def _writing(self, client_id: str) -> AsyncIterator[Connection]:
        """A transaction that inserts rows of a client, which may have been purged in the meantime."""
        try:
            async with self._database.client(client_id) as connection:
                yield connection
        except ForeignKeyViolation as error:
            raise NotFound(f"there is no client {client_id!r}") from error

    @staticmethod
    def _still_ours(done: bool, turn: Turn | None) -> Turn:  # noqa: FBT001  (private, one caller's shape)
        if not done or turn is None:
            raise ClaimLostError
        return turn

    async def report(self, client_id: str, reports: Reports) -> int:
        """Store a bot's reports in order; repeating them changes nothing.

        Returns:
            How many are stored now. A delivery of a turn that the ledger never saw is not.

        Raises:
            InvalidInput: too many reports, or a value that cannot be; nothing is stored then.
            NotFound: there is no such client.
        """
        given = reports.reports
        if len(given) > MAX_REPORTS:
            raise InvalidInput("reports", f"has {len(given)} reports, at most {MAX_REPORTS} are allowed")
        for index, report in enumerate(given):
            _check_report(report, f"reports[{index}]")
        aside = [report for report in given if isinstance(report, SetAside)]
        others = [
            report for report in given if isinstance(report, Changed | TakenOver | Resumed | SameContact)
        ]
        sends = [report for report in given if isinstance(report, SendOutcome | Receipt)]
        deliveries = [report for report in given if isinstance(report, Delivery)]
        async with self._writing(client_id) as connection:
            if aside:
                await store.set_aside(connection, client_id, aside)
            known: set[str] = set()
            if deliveries:
                known = await store.known_turns(connection, client_id, [each.turn for each in deliveries])
                await store.delivered(
                    connection, client_id, [each for each in deliveries if each.turn in known]
                )
                for each in deliveries:
                    if each.state == "silenced" and each.turn in known:
                        await changes.not_sent(connection, client_id, each)
            for report in (*aside, *others):
                await changes.apply(connection, client_id, report)
            await outcomes(connection, client_id, sends)
        unknown = {report.turn for report in deliveries} - known
        if unknown:
            log.warning(
                "delivery reported of turns that the ledger has not",
                extra={"client_id": client_id, "turns": sorted(unknown), "action": "report"},
            )
        return len(given) - sum(report.turn not in known for report in deliveries)

    async def take_back(self, client_id: str, excerpt: JournalExcerpt) -> int:
        """Store what a bot's journal has and the ledger lacks; what the ledger has settled stays as it is.

        Returns:
            How many turns and messages set aside were added or brought forward.

        Raises:
            InvalidInput: too much at once, or a value that cannot be; nothing is stored then.
            NotFound: there is no such client.
        """
        if len(excerpt.turns) > MAX_TURNS:
            raise InvalidInput("turns", f"has {len(excerpt.turns)} turns, at most {MAX_TURNS} are allowed")
        if len(excerpt.set_aside) > MAX_REPORTS:
            raise InvalidInput(
                "setAside", f"has {len(excerpt.set_aside)} messages, at most {MAX_REPORTS} are allowed"
            )
        for index, turn in enumerate(excerpt.turns):
            _check_journaled(turn, f"turns[{index}]")
        for index, report in enumerate(excerpt.set_aside):
            _check_report(report, f"setAside[{index}]")
        async with self._writing(client_id) as connection:
            added = 0
            for turn in excerpt.turns:
                added += await store.take_back(connection, client_id, turn)
            if excerpt.set_aside:
                known = await store.known_messages(
                    connection, client_id, [each.message_id for each in excerpt.set_aside]
                )
                await store.set_aside(connection, client_id, excerpt.set_aside)
                added += sum(each.message_id not in known for each in excerpt.set_aside)
        return added


def _check_journaled(turn: JournaledTurn, field: str) -> None:
    check_strings(turn, field=field)
    check_id(turn.id, f"{field}.id")
    check_id(turn.contact, f"{field}.contact")
    check_time(turn.fixed_at, f"{field}.fixedAt")
    if turn.finished_at is not None:
        check_time(turn.finished_at, f"{field}.finishedAt")
    if (turn.finished_at is None) != (turn.state in ("answered", "delivering")):
        raise InvalidInput(f"{field}.finishedAt", f"does not go with state {turn.state}")
    if not turn.members:
        raise InvalidInput(f"{field}.members", "must not be empty")
    for index, member in enumerate(turn.members):
        check_id(member.id, f"{field}.members[{index}].id")
        check_time(member.sent_at, f"{field}.members[{index}].sentAt")
        check_time(member.journaled_at, f"{field}.members[{index}].journaledAt")


def _check_report(report: Report, field: str) -> None:
    check_strings(report, field=field, limit=_MAX_TEXT)
    check_time(report.at, f"{field}.at")
    if isinstance(report, Delivery | SendOutcome) and len(report.reason) > _MAX_REASON:
        raise InvalidInput(f"{field}.reason", f"has more than {_MAX_REASON} characters")
    match report:
        case SetAside():
            check_id(report.message_id, f"{field}.messageId")
            check_id(report.from_, f"{field}.from")
            check_time(report.sent_at, f"{field}.sentAt")
            check_time(report.journaled_at, f"{field}.journaledAt")
        case Delivery():
            check_id(report.turn, f"{field}.turn")
        case Changed():
            check_id(report.message_id, f"{field}.messageId")
            check_id(report.turn, f"{field}.turn")
        case TakenOver():
            check_id(report.contact, f"{field}.contact")
            check_id(report.message_id, f"{field}.messageId")
            if report.minutes is not None and not 0 < report.minutes <= MAX_PAUSE:
                raise InvalidInput(
                    f"{field}.minutes", f"{report.minutes} is not between 0 and {MAX_PAUSE:.0f}"
                )
        case Resumed():
            check_id(report.contact, f"{field}.contact")
        case SameContact():
            check_id(report.contact, f"{field}.contact")
            check_id(report.other, f"{field}.other")
        case SendOutcome():
            check_id(report.send, f"{field}.send")
        case Receipt():
            if len(report.message_ids) > MAX_REPORTS:
                raise InvalidInput(f"{field}.messageIds", f"has more than {MAX_REPORTS} ids")
            for index, message_id in enumerate(report.message_ids):
                check_id(message_id, f"{field}.messageIds[{index}]")


def check_time(value: float, field: str) -> None:
    """Refuse what is not a Unix time in seconds between 1970 and 2100."""
    if not 0 <= value <= MAX_TIME:
        raise InvalidInput(field, f"{value!r} is not a Unix time in seconds")


def check_id(value: str, field: str) -> None:
    """Refuse an empty, overlong or unprintable id, or one with blanks in it."""
    if not 0 < len(value) <= MAX_ID:
        raise InvalidInput(field, f"must have 1 to {MAX_ID} characters")
    if not value.isprintable() or " " in value:
        raise InvalidInput(field, "must hold neither blanks nor control characters")
