"""The bot's side of the gateway: turns until they are answered, reports, signs of life."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from orbitbot.bot.access import AccessTokens, TokenRefused
from orbitbot.bot.backoff import Backoff
from orbitbot.bot.http import Body, Http, Reply, Unreachable
from orbitbot.bot.media import MediaStore
from orbitbot.bot.models import QueuedReport, Turn
from orbitbot.bot.turn_request import TurnRequest
from orbitbot.contracts.bot import GENERATION_HEADER, BotSettings, BotStatus
from orbitbot.contracts.commands import Command, CommandResult, Commands
from orbitbot.contracts.journal import JournalExcerpt, JournalTaken
from orbitbot.contracts.messages import MessageAnswer
from orbitbot.contracts.pairing import PairingEvent
from orbitbot.contracts.reports import ReportsAccepted
from orbitbot.foundation.errors import Conflict, SettingsError, Superseded, Unavailable

POLL_WAIT: Final = 20  # seconds that the gateway may hold a poll back, at most
STATUS_TIMEOUT: Final = 10.0  # seconds; a sign of life that takes longer is none
LEAST_POLL_PAUSE: Final = 1.0  # seconds between polls that are answered at once
# Every other 4xx is final: repeating the same request would get the same answer.
REPEATABLE_REFUSALS: Final = frozenset({401, 404, 408, 409, 425, 429})
# What contradicts the ledger goes on doing so: of the 409s, this kind is final too.
FINAL_CONFLICTS: Final = frozenset({Conflict.problem})

T = TypeVar("T")

log = logging.getLogger(__name__)


class Outcome(msgspec.Struct, frozen=True):
    """What became of a posted turn.

    Attributes:
        state: `answered` (send `response`), or already final: `delivered`, `silenced`, `failed`.
        report: the gateway does not know this outcome yet.
    """

    state: Literal["answered", "delivered", "silenced", "failed"]
    response: str = ""
    reason: str = ""
    report: bool = False


class GatewayAway(Unavailable):
    """The same request may succeed later."""

    problem = "gateway-away"
    title = "The gateway gave no usable answer"


class GatewayRefused(Exception):
    """The same request will never succeed; `problem` is the RFC 9457 type's last part."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(f"{status} {problem}")
        self.status = status
        self.problem = problem


class GatewayClient:
    """Calls the gateway as one client's bot.

    Args:
        retry_ceiling: longest pause between two attempts at a turn, in seconds.
        poll_wait: seconds that the gateway may hold a poll back; below the HTTP time-out.
        generation: of the lease that this process runs on.
        on_superseded: another host has taken over; this process has to end.
        on_notice: told what a contact is to be told while its turn takes long, at every answer that says so.
    """

    def __init__(
        self,
        http: Http,
        tokens: AccessTokens,
        media: MediaStore,
        *,
        client_id: str,
        retry_ceiling: float = 15.0,
        poll_wait: int = POLL_WAIT,
        generation: int = 0,
        on_superseded: Callable[[], None] = lambda: None,
        on_notice: Callable[[Turn, str], None] = lambda _turn, _text: None,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._media = media
        self._base = f"/api/clients/{client_id}"
        self._retry_ceiling = retry_ceiling
        self._poll_wait = poll_wait
        self._generation = str(generation)
        self._on_superseded = on_superseded
        self._on_notice = on_notice

    async def answer(self, turn: Turn) -> Outcome:
        """Post a turn until the gateway has said what becomes of it, however long that takes.

        The turn's id is the idempotency key: however often it is posted, it is answered once.
        """
        backoff = Backoff(self._retry_ceiling)
        facts = {"turn": turn.id, "message_id": turn.members[0].id, "action": "post"}
        while True:
            try:
                outcome = await self._attempt(turn)
            except GatewayRefused as error:
                log.warning("the gateway refused the turn", extra={**facts, "reason": str(error)})
                return Outcome("failed", reason=error.problem, report=True)
            except FileNotFoundError as error:
                log.critical("a voice note's file is lost", extra={**facts, "reason": str(error)})
                return Outcome("failed", reason="media-lost", report=True)
            except GatewayAway as error:
                pause = backoff.next(error.retry_after)
                log.warning("turn not answered yet", extra={**facts, "reason": error.detail, "pause": pause})
            else:
                if outcome is not None:
                    return outcome
                pause = backoff.next()
                log.warning("the turn was interrupted", extra={**facts, "pause": pause})
            await asyncio.sleep(pause)

    async def send_reports(self, reports: Sequence[QueuedReport]) -> None:
        """Hand over a batch of reports.

        Raises:
            GatewayAway: keep them and try again.
            GatewayRefused: there is one among them that will never be accepted.
        """
        body = msgspec.json.encode({"reports": [msgspec.Raw(each.body) for each in reports]})
        reply = await self._call("POST", f"{self._base}/reports", lambda: body)
        _decode(reply, ReportsAccepted)

    async def send_journal(self, excerpt: JournalExcerpt) -> JournalTaken:
        """Hand over a part of the journal, after the database was restored.

        Raises:
            GatewayAway: keep it and try again.
            GatewayRefused: the gateway does not take it.
        """
        body = msgspec.json.encode(excerpt)
        reply = await self._call("POST", f"{self._base}/journal", lambda: body)
        return _decode(reply, JournalTaken)

    async def put_status(self, status: BotStatus, *, read_timeout: float = STATUS_TIMEOUT) -> BotSettings:
        """Say how the bot is; the answer is what it runs by.

        Raises:
            GatewayAway: try again later.
            GatewayRefused: the gateway does not take it.
        """
        body = msgspec.json.encode(status)
        reply = await self._call("PUT", f"{self._base}/bot", lambda: body, read_timeout=read_timeout)
        return _decode(reply, BotSettings)

    async def next_commands(self) -> list[Command]:
        """What the bot is told to do; empty after a while without anything.

        Raises:
            GatewayAway: try again later.
            GatewayRefused: the gateway does not take it.
        """
        reply = await self._call("GET", f"{self._base}/commands?wait={self._poll_wait}", lambda: b"")
        return _decode(reply, Commands).commands

    async def finish_command(self, command_id: int, result: CommandResult) -> None:
        """Say what became of a command.

        Raises:
            GatewayAway: try again later.
            GatewayRefused: the gateway does not take it.
        """
        body = msgspec.json.encode(result)
        await self._call("POST", f"{self._base}/commands/{command_id}/result", lambda: body)

    async def fetch_file(self, send: str, target: Path) -> None:
        """Write the file of a message that the API sends into `target`.

        Raises:
            GatewayAway: try again later.
            GatewayRefused: it is gone.
            OSError: `target` cannot be written.
        """
        reply = await self._call("GET", f"{self._base}/messages/send/{send}/file", lambda: b"")
        target.write_bytes(reply.body)  # noqa: ASYNC240  (a few milliseconds, on the bot's own disk)

    async def put_pairing(self, event: PairingEvent) -> None:
        """Say what happens while a phone is being linked.

        Raises:
            GatewayAway: try again later.
            GatewayRefused: the gateway does not take it.
        """
        body = msgspec.json.encode(event)
        await self._call("PUT", f"{self._base}/bot/pairing", lambda: body, read_timeout=STATUS_TIMEOUT)

    async def _attempt(self, turn: Turn) -> Outcome | None:
        """One post and the polls after it; None if the turn has to be posted again."""
        request = TurnRequest(turn, self._media)
        reply = await self._call("POST", f"{self._base}/messages", request.body, request.headers)
        answer = _decode(reply, MessageAnswer)
        while not _is_settled(answer):
            if answer.notice:
                self._on_notice(turn, answer.notice)
            began = asyncio.get_running_loop().time()
            reply = await self._call(
                "GET", f"{self._base}/turns/{turn.id}?wait={self._poll_wait}", lambda: b""
            )
            answer = _decode(reply, MessageAnswer)
            if asyncio.get_running_loop().time() - began < LEAST_POLL_PAUSE and not _is_settled(answer):
                await asyncio.sleep(max(LEAST_POLL_PAUSE, min(reply.retry_after or 0.0, POLL_WAIT)))
        if answer.interrupted:
            return None
        if answer.state in {"answered", "delivering"}:
            return Outcome("answered", response=answer.response)
        if answer.state == "delivered":
            return Outcome("delivered")
        return Outcome("silenced" if answer.state == "silenced" else "failed", reason=answer.reason)

    async def _call(
        self,
        method: str,
        path: str,
        body: Callable[[], Body],
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
    ) -> Reply:
        headers = headers or {"Content-Type": "application/json"}
        try:
            token = await self._tokens.get()
            reply = await self._send(method, path, token, headers, body(), read_timeout=read_timeout)
            if reply.status == HTTPStatus.UNAUTHORIZED:  # revoked, or signed by an older key: once more
                self._tokens.forget(token)
                token = await self._tokens.get()
                reply = await self._send(method, path, token, headers, body(), read_timeout=read_timeout)
        except TokenRefused as error:
            self._refuse_superseded(error.reply)
            raise GatewayAway(str(error), retry_after=error.reply.retry_after) from error
        except (Unreachable, SettingsError) as error:
            raise GatewayAway(error.detail) from error
        self._refuse_superseded(reply)
        return _checked(reply)

    def _refuse_superseded(self, reply: Reply) -> None:
        if reply.status == Superseded.status and _problem(reply) == Superseded.problem:
            self._on_superseded()
            raise GatewayAway(Superseded.title)

    async def _send(
        self,
        method: str,
        path: str,
        token: str,
        headers: Mapping[str, str],
        body: Body,
        *,
        read_timeout: float | None,
    ) -> Reply:
        return await self._http.request(
            method,
            path,
            headers={
                **headers,
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                GENERATION_HEADER: self._generation,
            },
            body=body,
            read_timeout=read_timeout,
        )


def _is_settled(answer: MessageAnswer) -> bool:
    return answer.interrupted or answer.state not in {"received", "transcribed", "answering"}


def _checked(reply: Reply) -> Reply:
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return reply
    problem = _problem(reply)
    refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if refused and (reply.status not in REPEATABLE_REFUSALS or problem in FINAL_CONFLICTS):
        raise GatewayRefused(reply.status, problem)
    raise GatewayAway(f"{reply.status} {problem}", retry_after=reply.retry_after)


def _problem(reply: Reply) -> str:
    """The last part of the problem type, or the status's own name where the body is no problem document."""
    try:
        document = msgspec.json.decode(reply.body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = _Problem()
    return document.type.rpartition(":")[2] or f"http-{reply.status}"


class _Problem(msgspec.Struct):
    type: str = ""


def _decode(reply: Reply, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GatewayAway(f"{reply.status} with a body that is not understood: {error}") from error
