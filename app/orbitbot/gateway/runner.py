"""Runs turns: claims one, has voice notes transcribed, asks the AI service, stores the answer.

A turn runs as a task of its own, so that it outlives the request that posted it; every later post or
wait for it joins the task, or the ledger when another worker runs it.
"""

import asyncio
import logging
from collections import Counter
from typing import Final

import msgspec

from orbitbot.clients.service import ClientService
from orbitbot.contracts.chat import ChatRequest
from orbitbot.contracts.improve_transcription import ImproveTranscription
from orbitbot.contracts.messages import Member
from orbitbot.contracts.transcribe import Transcription
from orbitbot.conversations.models import Answer, NewTurn, Turn
from orbitbot.conversations.service import ClaimLostError, Ledger
from orbitbot.foundation.errors import Conflict, OrbitBotError, TooManyRequests, Unavailable
from orbitbot.foundation.notices import notice
from orbitbot.gateway.owner_commands import OwnerCommands
from orbitbot.gateway.services import AiService, SpeechService, VoiceNote
from orbitbot.gateway.settings import TurnSettings
from orbitbot.gateway.upstream import RefusedError

POLL_SECONDS: Final = 0.25  # between looks at a turn that another worker runs
BUSY_RETRY_AFTER: Final = 1.0  # seconds
_HEARTBEATS: Final = 3  # signs of life within one claim
_STOPPING: Final = "this gateway worker is stopping; another one will answer"
_ELSEWHERE_SECONDS: Final = 600.0  # for which a turn that another worker runs is followed

log = logging.getLogger(__name__)

Key = tuple[str, str]


class Job(msgspec.Struct, frozen=True):
    """A post, ready to run.

    Attributes:
        members: the messages in order; empty when an integrator calls.
        notes: member id → voice note (under `audio` when there are no members).
    """

    new: NewTurn
    members: tuple[Member, ...] = ()
    notes: dict[str, VoiceNote] = {}

    @property
    def key(self) -> Key:
        """Client and turn."""
        return self.new.client_id, self.new.id


class _Running:
    def __init__(self, fingerprint: bytes, task: asyncio.Task[Turn]) -> None:
        self.fingerprint = fingerprint
        self.task = task


class TurnRunner:
    """All turns of one gateway worker.

    Args:
        turns_in_flight: how many turns of one client run here at the same time.
        owner: answers commands of admin numbers.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clients: ClientService,
        ai: AiService,
        speech: SpeechService,
        settings: TurnSettings,
        turns_in_flight: int,
        owner: OwnerCommands | None = None,
    ) -> None:
        self._ledger = ledger
        self._clients = clients
        self._ai = ai
        self._speech = speech
        self._settings = settings
        self._turns_in_flight = turns_in_flight
        self._owner = owner
        self._running: dict[Key, _Running] = {}
        self._in_flight: Counter[str] = Counter()
        self._stopping = False

    async def post(self, job: Job) -> Turn | None:
        """Run the turn, or join it if it runs already; None if it takes longer than a post may.

        Raises:
            Conflict: its id was used for another post.
            TooManyRequests: too many turns of this client are under way.
            Unavailable: a needed service is away; the turn may be posted again.
        """
        running = self._running.get(job.key)
        if running is None:
            running = self._start(job)
        elif running.fingerprint != job.new.fingerprint:
            raise Conflict("this Idempotency-Key was used for another message")
        return await self._wait(running, self._settings.answer_seconds)

    async def follow(self, client_id: str, turn_id: str, seconds: float) -> Turn:
        """The turn as soon as it is settled or interrupted, or as it is after `seconds`.

        Raises:
            NotFound: there is no such turn.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        running = self._running.get((client_id, turn_id))
        if running is not None and seconds > 0:
            await asyncio.wait({running.task}, timeout=seconds)
        while True:
            turn = await self._ledger.read(client_id, turn_id)
            remaining = deadline - loop.time()
            if turn.is_settled or not turn.claimed or remaining <= 0 or self._stopping:
                return turn
            await asyncio.sleep(min(POLL_SECONDS, remaining))

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, let running turns finish for `seconds`, then release the rest."""
        self._stopping = True
        tasks = {running.task for running in self._running.values()}
        if not tasks:
            return
        _, unfinished = await asyncio.wait(tasks, timeout=seconds)
        for task in unfinished:
            task.cancel()
        if unfinished:
            log.warning("released turns while stopping", extra={"turns": len(unfinished), "action": "drain"})
            await asyncio.gather(*unfinished, return_exceptions=True)

    def _start(self, job: Job) -> _Running:
        client_id = job.new.client_id
        if self._stopping:
            raise Unavailable(_STOPPING, retry_after=BUSY_RETRY_AFTER)
        if self._in_flight[client_id] >= self._turns_in_flight:
            raise TooManyRequests(
                f"{self._turns_in_flight} messages of this client are being answered already",
                retry_after=BUSY_RETRY_AFTER,
            )
        running = _Running(job.new.fingerprint, asyncio.create_task(self._run(job)))
        self._running[job.key] = running
        self._in_flight[client_id] += 1
        running.task.add_done_callback(lambda task: self._ended(job, task))
        return running

    def _ended(self, job: Job, task: asyncio.Task[Turn]) -> None:
        client_id, turn_id = job.key
        del self._running[job.key]
        self._in_flight[client_id] -= 1
        if not self._in_flight[client_id]:
            del self._in_flight[client_id]
        about = {"client_id": client_id, "turn": turn_id, "action": "turn"}
        if task.cancelled():
            log.info("turn released", extra=about)
        elif (error := task.exception()) is None:
            log.info("turn settled", extra={**about, "state": task.result().state})
        elif isinstance(error, OrbitBotError):
            log.info("turn not run: %s", error.detail, extra=about)
        else:
            log.error("turn broke", exc_info=error, extra=about)

    async def _wait(self, running: _Running, seconds: float) -> Turn | None:
        done, _ = await asyncio.wait({running.task}, timeout=seconds)
        if not done:
            return None
        if running.task.cancelled():
            raise Unavailable(_STOPPING, retry_after=BUSY_RETRY_AFTER)
        return running.task.result()

    async def _run(self, job: Job) -> Turn:
        begun = await self._ledger.begin(job.new)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ELSEWHERE_SECONDS
        while not begun.claimed and not begun.turn.is_settled:
            if loop.time() > deadline:
                raise Unavailable("another worker is busy with this turn", retry_after=BUSY_RETRY_AFTER)
            await asyncio.sleep(POLL_SECONDS)
            seen = await self._ledger.read(*job.key)
            if seen.is_settled:
                return seen
            if not seen.claimed:
                begun = await self._ledger.begin(job.new)
        if begun.turn.is_settled:
            return begun.turn
        heartbeat = asyncio.create_task(self._keep_claim(begun.turn))
        try:
            return await self._work(job, begun.turn)
        except ClaimLostError:
            return await self._ledger.read(*job.key)
        except BaseException:
            await asyncio.shield(self._release(begun.turn))
            raise
        finally:
            heartbeat.cancel()

    async def _release(self, turn: Turn) -> None:
        try:
            await self._ledger.release(turn)
        except Unavailable:
            log.warning(
                "claim not released, it expires by itself",
                extra={"client_id": turn.client_id, "turn": turn.id, "action": "release"},
            )

    async def _keep_claim(self, turn: Turn) -> None:
        while True:
            await asyncio.sleep(self._settings.claim_seconds / _HEARTBEATS)
            try:
                if not await self._ledger.extend(turn):
                    return
            except Unavailable:
                continue  # the database may be back before the claim expires

    async def _work(self, job: Job, turn: Turn) -> Turn:
        heard: list[str] = []
        if job.notes:
            if turn.transcription is None:
                try:
                    lines = await self._transcribe(job, turn)
                except RefusedError as refused:
                    return await self._refused(turn, refused)
                turn = await self._ledger.transcribed(turn, lines)
            heard = (turn.transcription or "").split("\n")
        message = compose(job, heard)
        if job.new.origin == "bot" and self._owner is not None:
            said = await self._owner.reply(turn.client_id, turn.contact, turn.id, message)
            if said is not None:
                return await self._ledger.answered(turn, _commanded(said))
        request = ChatRequest(
            client_id=turn.client_id,
            message=message,
            type=turn.type,
            turn=turn.id,
            contact=turn.contact,
            heard=bool(message),
        )
        try:
            answer = await self._ai.chat(request, seconds=self._settings.retry_seconds)
        except RefusedError as refused:
            return await self._refused(turn, refused)
        if answer.silenced:
            return await self._ledger.silenced(turn, answer.silenced)
        return await self._ledger.answered(
            turn,
            Answer(
                response=answer.response.replace("\0", ""),
                model=answer.model,
                source=answer.source,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
                cost_usd=answer.cost_usd,
                provider_ms=answer.provider_ms,
            ),
        )

    async def _refused(self, turn: Turn, refused: RefusedError) -> Turn:
        return await self._ledger.failed(turn, f"{refused.problem}: {refused.detail}")

    async def _transcribe(self, job: Job, turn: Turn) -> list[str]:
        """One line for each voice note, in order.

        A contact whose note cannot be decoded is told that it was not heard; an integrator is told
        what is wrong with it.
        """
        language, vocabulary = await self._clients.speech_hints(job.new.client_id)
        fields = {"language": language.partition("-")[0], "client": job.new.client_id}
        if vocabulary:
            fields["prompt"] = ", ".join(vocabulary)

        async def one(note: VoiceNote) -> str:
            try:
                if job.new.origin == "api":
                    heard = await self._speech.transcribe(note, fields, seconds=self._settings.retry_seconds)
                else:
                    heard = await self._heard_in_time(turn, note, fields, language)
            except RefusedError as refused:
                if job.new.origin == "api":
                    raise
                log.warning(
                    "voice note refused: %s",
                    refused.detail,
                    extra={"client_id": job.new.client_id, "message_id": note.id, "action": "transcribe"},
                )
                return ""
            if not heard.transcription.strip():
                return ""
            return await self._ai.improve(
                ImproveTranscription(
                    transcription=heard.transcription,
                    client_id=job.new.client_id,
                    contact=job.new.contact,
                    confidence=min(max(heard.confidence, 0.0), 1.0),
                )
            )

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(note)) for note in ordered_notes(job)]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # one note that fails is enough; callers know its type
        return [task.result() for task in tasks]

    async def _heard_in_time(
        self, turn: Turn, note: VoiceNote, fields: dict[str, str], language: str
    ) -> Transcription:
        """Wait for a speech node; the ledger says so, and after a while the contact is told.

        Raises:
            Unavailable: there was none for too long, or this worker is stopping: the bot has the note, and
                posts it again.
            RefusedError: see `SpeechService.transcribe`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.speech_wait_seconds
        while True:
            try:
                return await self._speech.transcribe(note, fields, seconds=self._settings.retry_seconds)
            except Unavailable as error:
                log.warning(
                    "voice note waits: %s",
                    error.detail,
                    extra={"client_id": turn.client_id, "message_id": note.id, "action": "transcribe"},
                )
                await self._ledger.waiting(
                    turn,
                    notice=notice("voice_waits", language),
                    after=self._settings.speech_notice_seconds,
                )
                if self._stopping or loop.time() > deadline:
                    raise


def _commanded(text: str) -> Answer:
    return Answer(
        response=text,
        model="",
        source="plugin",
        prompt_tokens=0,
        completion_tokens=0,
        cost_usd=0.0,
        provider_ms=0.0,
    )


def ordered_notes(job: Job) -> list[VoiceNote]:
    """The voice notes in the order of their messages."""
    if not job.members:
        return list(job.notes.values())
    return [job.notes[member.id] for member in job.members if member.id in job.notes]


def compose(job: Job, heard: list[str]) -> str:
    """What the contact said, written or spoken, in order; empty if nothing was heard."""
    if not job.members:
        return "\n".join(filter(None, [job.new.message, *heard]))
    lines, said = iter(heard), []
    for member in job.members:
        if member.id in job.notes:
            words = next(lines, "")
            said += [member.text, words] if words else []  # nothing was said where nothing was heard
        else:
            said.append(member.text)
    return "\n".join(filter(None, said))
