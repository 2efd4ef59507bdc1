"""neonize's own event objects through the adapter. Needs neonize's generated classes, so it stands here."""

import importlib
import importlib.util
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest

from orbitbot.bot.channels.neonize_events import Ignored, read_message, read_poison, read_undecryptable
from orbitbot.bot.models import Content, InboundEvent, Quoted
from tests.whatsapp.boundary import SITE

ANA, LID = "5521988887777", "95521988887777"


@pytest.fixture(scope="module")
def neonize():  # type: ignore[no-untyped-def]  # the library has no types
    """neonize's generated classes without the rest of it: its Go library is no guest for a test process."""
    folder = importlib.util.find_spec("neonize")
    assert folder is not None
    package = types.ModuleType("neonize")
    package.__path__ = list(folder.submodule_search_locations or [])
    before, path = set(sys.modules), list(sys.path)
    sys.modules["neonize"] = package
    proto = importlib.import_module("neonize.proto.Neonize_pb2")
    content = importlib.import_module("neonize.proto.waE2E.WAWebProtobufsE2E_pb2")
    yield SimpleNamespace(neonize_proto=proto, JID=proto.JID, Message=content.Message)
    for name in set(sys.modules) - before:
        if name.startswith("neonize"):
            del sys.modules[name]
    sys.path[:] = path


def event(neonize, kind="Message", *, sender=(ANA, "s.whatsapp.net"), alt=None, chat=None, **more):  # type: ignore[no-untyped-def]
    """An event as neonize hands it over; `message` fields by their names."""
    proto = neonize.neonize_proto
    message = more.pop("message", {"conversation": "oi"})
    values = {"IsFromMe": False, "IsGroup": False} | more.pop("source", {})

    def jid(address):  # type: ignore[no-untyped-def]
        return neonize.JID(
            User=address[0], Server=address[1], Device=0, RawAgent=0, Integrator=0, IsEmpty=False
        )

    source = proto.MessageSource(Chat=jid(chat or sender), Sender=jid(sender), **values)
    if alt:
        source.SenderAlt.CopyFrom(jid(alt))
    info = proto.MessageInfo(
        MessageSource=source, ID=more.pop("id", "M1"), Timestamp=more.pop("at", 1_790_000_000_000)
    )
    if kind == "Message":
        return proto.Message(Info=info, Message=neonize.Message(**message))
    return proto.UndecryptableMessage(Info=info)


def test_a_text(neonize) -> None:  # type: ignore[no-untyped-def]
    assert read_message(event(neonize)) == InboundEvent(
        id="M1", chat=ANA, sender=ANA, type="text", sent_at=1_790_000_000.0, text="oi"
    )


@pytest.mark.parametrize(
    ("sender", "alt", "expected"),
    [
        ((ANA, "s.whatsapp.net"), (LID, "lid"), ANA),
        ((LID, "lid"), (ANA, "s.whatsapp.net"), ANA),
        ((LID, "lid"), None, f"{LID}@lid"),
        ((ANA, "hosted"), None, ANA),
    ],
)
def test_a_contact_is_one_by_number_and_by_lid(neonize, sender, alt, expected) -> None:  # type: ignore[no-untyped-def]
    read = read_message(event(neonize, sender=sender, alt=alt))
    assert (read.contact, read.chat) == (expected, expected)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"conversation": "a"}, "a"),
        ({"extendedTextMessage": {"text": "b"}}, "b"),
        ({"imageMessage": {"caption": "c"}}, "c"),
        ({"videoMessage": {"caption": "d"}}, "d"),
        ({"documentMessage": {"caption": "e"}}, "e"),
        ({"buttonsResponseMessage": {"selectedDisplayText": "f"}}, "f"),
        ({"listResponseMessage": {"title": "g"}}, "g"),
    ],
)
def test_words_are_found_wherever_they_stand(neonize, message, text) -> None:  # type: ignore[no-untyped-def]
    read = read_message(event(neonize, message=message))
    assert (read.kind, read.text) == ("message", text)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("imageMessage", {}, Content(kind="image")),
        ("stickerMessage", {}, Content(kind="sticker")),
        (
            "locationMessage",
            {"degreesLatitude": 1.5, "degreesLongitude": -2.5, "name": "Praça"},
            Content(kind="location", name="Praça", position=(1.5, -2.5)),
        ),
        ("contactMessage", {"displayName": "Beto"}, Content(kind="contact", name="Beto")),
        (
            "documentMessage",
            {"fileName": "a.pdf", "mimetype": "application/pdf"},
            Content(kind="document", name="a.pdf", detail="application/pdf"),
        ),
        ("pollCreationMessage", {"name": "Quando?"}, Content(kind="poll", name="Quando?")),
        ("reactionMessage", {"text": "👍"}, Content(kind="reaction", name="👍")),
    ],
)
def test_what_has_no_words_says_what_it_is(neonize, name, content, expected) -> None:  # type: ignore[no-untyped-def]
    read = read_message(event(neonize, message={name: content}))
    assert (read.kind, read.text, read.content) == ("message", "", expected)


def test_what_nobody_reads_is_said_to_be_so(neonize) -> None:  # type: ignore[no-untyped-def]
    assert read_message(event(neonize, message={"productMessage": {}})).kind == "unsupported"


@pytest.mark.parametrize("wrapped", ["as it is", "in another"])
def test_an_edit_names_its_message(neonize, wrapped) -> None:  # type: ignore[no-untyped-def]
    protocol = {"key": {"ID": "M0"}, "type": 14, "editedMessage": {"conversation": "outro"}}
    message = {"protocolMessage": protocol}
    if wrapped == "in another":
        message = {"editedMessage": {"message": message}}
    read = read_message(event(neonize, message=message))
    assert (read.kind, read.target, read.text) == ("edit", "M0", "outro")


def test_a_deletion_names_its_message(neonize) -> None:  # type: ignore[no-untyped-def]
    message = {"protocolMessage": {"key": {"ID": "M0"}, "type": 0}}
    read = read_message(event(neonize, message=message))
    assert (read.kind, read.target, read.text) == ("deletion", "M0", "")
    with pytest.raises(Ignored):
        read_message(event(neonize, message=message, source={"IsFromMe": True}))


def test_who_is_meant_in_a_group(neonize) -> None:  # type: ignore[no-untyped-def]
    group = {"chat": ("1203", "g.us"), "source": {"IsGroup": True}}
    own = frozenset({"5511", "95511"})
    mention = {"extendedTextMessage": {"text": "@bot", "contextInfo": {"mentionedJID": ["95511@lid"]}}}
    context = {
        "stanzaID": "S1",
        "participant": "5511:3@s.whatsapp.net",
        "quotedMessage": {"conversation": "sim"},
    }
    reply = {"extendedTextMessage": {"text": "e hoje?", "contextInfo": context}}
    assert read_message(event(neonize, message=mention, **group), own=own).addressed
    answered = read_message(event(neonize, message=reply, **group), own=own)
    assert (answered.addressed, answered.quoted) == (True, Quoted(id="S1", text="sim", own=True))
    assert not read_message(event(neonize, message=reply, **group), own=frozenset({"5522"})).addressed
    assert not read_message(event(neonize, **group), own=own).addressed


@pytest.mark.parametrize(
    "message",
    [{}, {"protocolMessage": {}}, {"senderKeyDistributionMessage": {}}],
)
def test_what_nobody_wrote_is_ignored(neonize, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Ignored):
        read_message(event(neonize, message=message))


def test_a_group_comes_with_its_writer(neonize) -> None:  # type: ignore[no-untyped-def]
    read = read_message(event(neonize, chat=("1203", "g.us"), source={"IsGroup": True}))
    assert (read.chat, read.sender, read.contact, read.group) == ("1203@g.us", ANA, "1203@g.us", True)


def test_own_words_status_and_history(neonize) -> None:  # type: ignore[no-untyped-def]
    assert read_message(event(neonize, source={"IsFromMe": True})).kind == "own"
    assert (
        read_message(event(neonize, chat=("status", "broadcast"), source={"IsGroup": True})).kind == "status"
    )
    assert read_message(event(neonize), paired_at=1_790_000_001.0).kind == "history"
    assert read_message(event(neonize), paired_at=1_789_999_999.0).kind == "message"


def test_a_voice_note_is_fetched_by_its_own_message(neonize) -> None:  # type: ignore[no-untyped-def]
    audio = {"fileSHA256": b"\x01" * 32, "fileLength": 77, "directPath": "/v/1", "PTT": True}
    read = read_message(event(neonize, message={"audioMessage": audio}))
    assert read.type == "voice"
    assert read.remote_media is not None
    assert (read.remote_media.digest, read.remote_media.size) == ("01" * 32, 77)
    assert neonize.Message.FromString(read.remote_media.source).audioMessage.directPath == "/v/1"


def test_what_cannot_be_read_still_says_who_and_when(neonize) -> None:  # type: ignore[no-untyped-def]
    read = read_undecryptable(event(neonize, "UndecryptableMessage"))
    assert (read.id, read.contact, read.kind) == ("M1", ANA, "undecryptable")
    assert read_poison(event(neonize)).kind == "unsupported"


def test_a_library_without_the_root_key_says_what_to_do(tmp_path: Path) -> None:
    other = tmp_path / "neonize.so"
    other.write_bytes(b"\0" * 1000)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import noise_root; "
        "noise_root.replace(sys.argv[2], b'x' * 32)"
    )
    command = [sys.executable, "-c", script, str(SITE), str(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds WhatsApp's Noise root key 0 times" in done.stderr
    assert "tests/whatsapp/site/noise_root.py" in done.stderr
