"""What a post means: its job, its fingerprint, and what the contact is taken to have said."""

from typing import Any

import msgspec
import pytest

from orbitbot.contracts.messages import Member, PostMessage
from orbitbot.foundation.errors import InvalidInput, TooLarge
from orbitbot.gateway.posts import MAX_TEXT, Post, make_job, turn_id
from orbitbot.gateway.runner import compose, ordered_notes
from orbitbot.gateway.services import VoiceNote


def member(identity: str, kind: Any = "text", text: str = "") -> Member:
    return Member(id=identity, type=kind, sent_at=1.0, journaled_at=2.0, text=text)


def post(message: str = "", members: list[Member] | None = None, *notes: str, sender: str = "1") -> Post:
    body = PostMessage(message=message, from_=sender, members=members or [])
    return Post(body, {name: VoiceNote(name, name.encode(), "audio/ogg") for name in notes})


def test_written_and_spoken_keep_their_order() -> None:
    members = [member("a", "voice"), member("b", text="por favor"), member("c", "voice")]
    job = make_job("padaria", "t", "bot", post("por favor", members, "c", "a"), muted=False)
    assert [note.id for note in ordered_notes(job)] == ["a", "c"]
    assert compose(job, ["dois pães", "e um café"]) == "dois pães\npor favor\ne um café"
    assert compose(job, ["", "e um café"]) == "por favor\ne um café"
    assert (job.new.type, job.new.state) == ("voice", "received")


def test_a_note_in_which_nothing_is_heard_is_no_message() -> None:
    job = make_job("padaria", "t", "bot", post("", [member("a", "voice")], "a"), muted=False)
    assert not compose(job, [""])


def test_a_note_that_the_bot_could_not_keep_is_one_in_which_nothing_is_heard() -> None:
    job = make_job("padaria", "t", "bot", post("", [member("a", "voice")]), muted=False)
    assert (job.new.type, job.new.state) == ("voice", "received")
    assert [(note.id, note.content) for note in ordered_notes(job)] == [("a", b"")]
    with pytest.raises(InvalidInput, match="is missing"):
        make_job("padaria", "t", "api", post("", [member("a", "voice")]), muted=False)


def test_an_integrators_text_comes_before_the_note() -> None:
    job = make_job("padaria", "t", "api", post("Oi", None, "audio"), muted=False)
    assert compose(job, ["bom dia"]) == "Oi\nbom dia"
    (message,) = job.new.messages
    assert (message.id, message.type) == ("t", "voice")


def test_the_same_post_has_the_same_fingerprint() -> None:
    def fingerprint(*, text: str = "x", notes: tuple[str, ...] = (), sender: str = "1") -> bytes:
        members = [member("m", text=text), *(member(note, "voice") for note in notes)]
        return make_job(
            "c1", "t", "bot", post(text, members, *notes, sender=sender), muted=False
        ).new.fingerprint

    base = fingerprint()
    assert fingerprint() == base
    others = {fingerprint(text="y"), fingerprint(notes=("n",)), fingerprint(sender="2"), base}
    assert len(others) == 4


def test_the_bytes_of_a_note_are_part_of_the_fingerprint() -> None:
    jobs = []
    for content in (b"one", b"two"):
        given = post("", [member("a", "voice")], "a")
        notes = {"a": VoiceNote("a", content, "audio/ogg")}
        jobs.append(make_job("c1", "t", "bot", msgspec.structs.replace(given, notes=notes), muted=False))
    assert jobs[0].new.fingerprint != jobs[1].new.fingerprint


def test_a_paused_clients_turn_is_silenced() -> None:
    job = make_job("padaria", "t", "bot", post("x", [member("m", text="x")]), muted=True)
    assert (job.new.state, job.new.reason) == ("silenced", "muted")


def test_too_long_a_text() -> None:
    text = "x" * (MAX_TEXT + 1)
    with pytest.raises(TooLarge):
        make_job("c1", "t", "api", post(text), muted=False)
    job = make_job("c1", "t", "bot", post(text, [member("m", text=text)]), muted=True)
    assert (job.new.state, len(job.new.message)) == ("failed", MAX_TEXT)
    assert job.new.reason.startswith("too-large: ")


@pytest.mark.parametrize("key", ["", " ", "a b", "a/b", ".", "..", "x" * 129, "é", "a\n", "\x7f"])
def test_keys_that_are_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="Idempotency-Key"):
        turn_id(key, "bot")


@pytest.mark.parametrize("key", ["a", "...", ".a", "x" * 128, "3EB0!~#?&%", "wamid.HBgM=="])
def test_keys_that_are_taken(key: str) -> None:
    assert turn_id(key, "bot") == key


def test_only_integrators_may_do_without_a_key() -> None:
    assert turn_id(None, "api") != turn_id(None, "api")
    with pytest.raises(InvalidInput, match="Idempotency-Key"):
        turn_id(None, "bot")
