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
from orbitbot.bot.models import InboundEvent
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
    "name", ["stickerMessage", "locationMessage", "contactMessage", "pollCreationMessage"]
)
def test_what_nobody_reads_is_said_to_be_so(neonize, name) -> None:  # type: ignore[no-untyped-def]
    assert read_message(event(neonize, message={name: {}})).kind == "unsupported"


@pytest.mark.parametrize(
    "message",
    [{}, {"reactionMessage": {"text": "👍"}}, {"protocolMessage": {}}, {"senderKeyDistributionMessage": {}}],
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
