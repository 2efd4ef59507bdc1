"""The HTTP request of a turn: what a form parser makes of it, and that it never changes."""

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from multipart import MultipartParser, parse_options_header

from orbitbot.bot.media import MediaStore
from orbitbot.bot.models import JournaledMessage, StoredMedia, Turn
from orbitbot.bot.turn_request import TurnRequest
from orbitbot.contracts.messages import Member, PostMessage


def member(
    message_id: str, text: str = "", media: StoredMedia | None = None, *, voice: bool = False
) -> JournaledMessage:
    return JournaledMessage(
        id=message_id,
        chat="5511",
        contact="5511",
        group=False,
        type="voice" if media or voice else "text",
        text=text,
        media=media,
        sent_at=1.5,
        journaled_at=2.5,
    )


def turn(*members: JournaledMessage) -> Turn:
    return Turn(id="ab12", contact="5511", chat="5511", group=False, state="fixed", members=members)


def content_of(request: TurnRequest) -> bytes:
    body = request.body()
    if isinstance(body, bytes):
        return body

    async def collect(chunks: AsyncIterator[bytes]) -> bytes:
        return b"".join([chunk async for chunk in chunks])

    return asyncio.run(collect(body))


def test_texts_go_as_json(tmp_path: Path) -> None:
    request = TurnRequest(turn(member("A1", "oi"), member("A2", "tem pão?")), MediaStore(tmp_path / "media"))
    assert request.headers == {"Idempotency-Key": "ab12", "Content-Type": "application/json"}
    assert msgspec.json.decode(content_of(request), type=PostMessage) == PostMessage(
        message="oi\ntem pão?",
        type="text",
        from_="5511",
        members=[
            Member(id="A1", type="text", sent_at=1.5, journaled_at=2.5, text="oi"),
            Member(id="A2", type="text", sent_at=1.5, journaled_at=2.5, text="tem pão?"),
        ],
    )


def test_voice_notes_go_as_files_named_after_their_members(tmp_path: Path) -> None:
    store = MediaStore(tmp_path / "media")
    notes = {}
    members = [member("A1", "oi"), member("A0", voice=True)]
    for message_id in ("V1", 'odd"id;=%', "V3"):
        source = tmp_path / "note.ogg"
        source.write_bytes(os.urandom(150_000) + b"\r\n--orbitbot-\r\n")
        notes[message_id] = source.read_bytes()
        members.append(member(message_id, media=store.keep(source)))
    request = TurnRequest(turn(*members), store)
    content = content_of(request)
    assert request.headers["Content-Length"] == str(len(content))
    assert content_of(TurnRequest(turn(*members), store)) == content

    kind, options = parse_options_header(request.headers["Content-Type"])
    assert kind == "multipart/form-data"
    parts = list(MultipartParser(io.BytesIO(content), options["boundary"], strict=True, memfile_limit=2**30))
    assert [part.name.replace("%22", '"') for part in parts] == ["payload", *notes]
    assert [part.raw for part in parts[1:]] == list(notes.values())
    assert [part.content_type for part in parts] == ["application/json"] + ["audio/ogg"] * 3
    post = msgspec.json.decode(parts[0].raw, type=PostMessage)
    assert (post.message, post.type, len(post.members)) == ("oi", "voice", 5)


def test_a_note_whose_file_is_gone_is_noticed_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TurnRequest(turn(member("V1", media=StoredMedia("cd" * 32, 10))), MediaStore(tmp_path / "media"))
