"""From a posted body to a job: what a post may hold, and what it means."""

import hashlib
import re
import time
import uuid
from typing import Final

import msgspec

from orbitbot.contracts.messages import Member, PostMessage, TurnState
from orbitbot.conversations.models import LedgerMessage, NewTurn, Origin
from orbitbot.conversations.service import check_id, check_time
from orbitbot.foundation.bodies import content_type, decode_json
from orbitbot.foundation.errors import InvalidInput, MalformedRequest, TooLarge, UnsupportedMedia
from orbitbot.foundation.forms import Part, read_multipart
from orbitbot.foundation.text import check_strings
from orbitbot.foundation.web import AnyRequest
from orbitbot.gateway.runner import Job
from orbitbot.gateway.services import VoiceNote

MAX_TEXT: Final = 16_000  # characters of a turn's text
MAX_JSON: Final = 1_000_000  # bytes
MAX_MEMBERS: Final = 100
PAYLOAD: Final = "payload"  # the multipart part with the JSON
AUDIO: Final = "audio"  # the file part of a post without members
_KEY: Final = re.compile(r"(?!\.{1,2}\Z)[!-.0-~]{1,128}")  # it becomes a part of a URL's path


class Post(msgspec.Struct, frozen=True):
    """A decoded body and the voice notes that came with it, by part name."""

    body: PostMessage
    notes: dict[str, VoiceNote]


async def read_post(request: AnyRequest) -> Post:
    """Decode a post, JSON or multipart.

    Raises:
        MalformedRequest, InvalidInput, TooLarge, UnsupportedMedia: it cannot be read.
    """
    kind = content_type(request)
    if kind == "application/json":
        raw = await request.body()
        if len(raw) > MAX_JSON:
            raise TooLarge(f"the body is larger than {MAX_JSON} bytes")
        return Post(decode_json(raw, PostMessage), {})
    if kind != "multipart/form-data":
        raise UnsupportedMedia("this route takes application/json, or multipart/form-data with voice notes")
    parts = await read_multipart(request)
    payloads = [part for part in parts if part.name == PAYLOAD]
    if len(payloads) != 1:
        raise MalformedRequest(f"a multipart post has one part {PAYLOAD!r}, which holds the JSON")
    return Post(decode_json(payloads[0].content, PostMessage), _notes(parts))


def _notes(parts: list[Part]) -> dict[str, VoiceNote]:
    notes: dict[str, VoiceNote] = {}
    for part in parts:
        if part.name == PAYLOAD:
            continue
        if part.name in notes:
            raise InvalidInput(part.name, "there are two voice notes of this name")
        notes[part.name] = VoiceNote(part.name, part.content, part.media_type)
    return notes


def turn_id(key: str | None, origin: Origin) -> str:
    """The id of a posted turn: the caller's idempotency key, or a new one for an integrator without.

    Raises:
        InvalidInput: a bot sent none, or it has characters that it must not have.
    """
    if key is None:
        if origin == "bot":
            raise InvalidInput("Idempotency-Key", "a bot's post needs this header")
        return uuid.uuid4().hex
    if not _KEY.fullmatch(key):
        raise InvalidInput("Idempotency-Key", "must have 1 to 128 visible ASCII characters other than '/'")
    return key


def make_job(client_id: str, turn: str, origin: Origin, post: Post, *, muted: bool) -> Job:
    """The job that a post asks for.

    Args:
        muted: the client is paused: the turn is stored and not answered.

    Raises:
        InvalidInput: a field that has no business there, or lacks; names it.
        TooLarge: more text than a turn may have.
    """
    if origin == "bot":
        post = _with_lost_notes(post)
    body = post.body
    check_strings(body)
    if body.from_ or origin == "bot":
        check_id(body.from_, "from")
    _check_members(body.members)
    if len(body.replaces) > MAX_MEMBERS:
        raise InvalidInput("replaces", f"has {len(body.replaces)} turns, at most {MAX_MEMBERS} are allowed")
    for index, replaced in enumerate(body.replaces):
        check_id(replaced, f"replaces[{index}]")
    _check_notes(post, origin)
    state, reason = _first_state(post, origin, muted=muted)
    new = NewTurn(
        client_id=client_id,
        id=turn,
        contact=body.from_ or f"api:{turn}",  # nobody's: it shares its history with no one
        type="voice" if post.notes else body.type,
        origin=origin,
        fingerprint=_fingerprint(post),
        message=body.message[:MAX_TEXT],
        messages=_ledger_messages(body, turn, "voice" if post.notes else body.type),
        state=state,
        reason=reason,
        replaces=tuple(body.replaces),
    )
    return Job(new=new, members=tuple(body.members), notes=post.notes)


def _with_lost_notes(post: Post) -> Post:
    """An empty note for every voice message that comes without one: it was empty, or too large to keep.

    So the message gets into the ledger, and its contact is told that nothing could be heard.
    """
    lost = [
        member.id for member in post.body.members if member.type == "voice" and member.id not in post.notes
    ]
    return Post(post.body, post.notes | {name: VoiceNote(name, b"", "") for name in lost}) if lost else post


def _first_state(post: Post, origin: Origin, *, muted: bool) -> tuple[TurnState, str]:
    """How the turn begins. What a contact wrote is in the ledger even if it is too long to be answered."""
    texts = [post.body.message, *(member.text for member in post.body.members)]
    if max(len(text) for text in texts) > MAX_TEXT:
        error = TooLarge(f"message: has more than {MAX_TEXT} characters")
        if origin == "api":
            raise error
        return "failed", f"{error.problem}: {error.detail}"
    if muted:
        return "silenced", "muted"
    return ("received" if post.notes else "answering"), ""


def _check_members(members: list[Member]) -> None:
    if len(members) > MAX_MEMBERS:
        raise InvalidInput("members", f"has {len(members)} members, at most {MAX_MEMBERS} are allowed")
    for index, member in enumerate(members):
        check_id(member.id, f"members[{index}].id")
        check_time(member.sent_at, f"members[{index}].sentAt")
        check_time(member.journaled_at, f"members[{index}].journaledAt")
    if len({member.id for member in members}) < len(members):
        raise InvalidInput("members", "two members have the same id")


def _check_notes(post: Post, origin: Origin) -> None:
    members = post.body.members
    empty = [name for name, note in post.notes.items() if not note.content]
    if empty and origin == "api":  # a contact is told that nothing was heard
        raise InvalidInput(empty[0], "the voice note is empty")
    wanted = {member.id for member in members if member.type == "voice"}
    if not members:
        wanted = {AUDIO} if post.notes else set()
        if not post.notes and not post.body.message:
            raise InvalidInput("message", "must not be empty")
    for name in sorted(post.notes.keys() - wanted):
        expected = "the id of a member of type voice" if members else repr(AUDIO)
        raise InvalidInput(name, f"a voice note's part is named {expected}")
    for name in sorted(wanted - post.notes.keys()):
        raise InvalidInput("members", f"the voice note of member {name!r} is missing")
    if members and not post.notes and not any(member.text for member in members):
        raise InvalidInput("members", "there is neither text nor a voice note")


def _ledger_messages(body: PostMessage, turn: str, kind: str) -> tuple[LedgerMessage, ...]:
    if not body.members:
        now = time.time()
        return (LedgerMessage(turn, "voice" if kind == "voice" else "text", now, now),)
    return tuple(
        LedgerMessage(member.id, member.type, member.sent_at, member.journaled_at) for member in body.members
    )


def _fingerprint(post: Post) -> bytes:
    fields = msgspec.to_builtins(post.body)
    if not post.body.replaces:  # a post as releases before this field made it keeps its fingerprint
        del fields["replaces"]
    digest = hashlib.sha256(msgspec.json.encode(fields))
    for name in sorted(post.notes):
        digest.update(name.encode() + b"\0" + hashlib.sha256(post.notes[name].content).digest())
    return digest.digest()
