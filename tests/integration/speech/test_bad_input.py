"""Bad input gets a problem document of the 4xx kind, and the node goes on."""

import io
import os
import random
import secrets
import socket
import struct
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.speech.conftest import SENTENCE, StartNode
from tests.support.keys import Keys
from tests.support.speech_node import SpeechNode, descendants
from tests.support.voices import noise, silence

THREE_HOURS_OF_AMR = b"#!AMR\n" + b"\x7c" * (3 * 3600 * 50)  # frames of 20 ms without data


def wav(rate: int, channels: int, frames: int = 8000) -> bytes:
    """A WAV file of 16-bit silence whose header says what it is told to."""
    data = bytes(2 * max(channels, 1) * frames)
    kind = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return b"".join(
        (
            b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE",
            b"fmt " + struct.pack("<I", len(kind)) + kind,
            b"data" + struct.pack("<I", len(data)) + data,
        )
    )


def zipped() -> bytes:
    """A ZIP that unpacks to 50 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("note.ogg"), bytes(50_000_000), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def flac_bomb() -> bytes:
    """An hour of nothing in few bytes: 115 MB of samples."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        second = av.AudioFrame.from_ndarray(np.zeros((1, 160_000), np.int16), format="s16", layout="mono")
        second.sample_rate = 16_000
        for number in range(360):
            second.pts = number * 160_000
            container.mux(stream.encode(second))
        container.mux(stream.encode(None))
    return file.getvalue()


def assert_problem(answer: httpx.Response, status: int, says: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"].startswith("urn:orbitbot:problem:")
    assert body["status"] == status
    assert says in body["detail"]


@pytest.fixture(autouse=True)
def still_unharmed(node: SpeechNode, note: bytes) -> Iterator[None]:
    """After every one of these tests the node hears a good note as before."""
    yield
    assert node.transcribe(note).json()["transcription"] == SENTENCE


@pytest.mark.parametrize(
    ("audio", "status", "says"),
    [
        (b"", 400, "audio: the file is empty"),
        (b"quero sete pacotes de arroz", 415, "not an audio file that is supported"),
        (b"%PDF-1.7\n" + bytes(1000), 415, "allowed: OGG (Opus, Vorbis), MP3"),
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", 415, "not an audio file"),
        (b"OggS", 422, "damaged"),
        (b"OggS" + random.Random(1).randbytes(5000), 422, "damaged"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", 422, "damaged"),
        (THREE_HOURS_OF_AMR, 413, "longer than 600 s"),
        (zipped(), 415, "not an audio file that is supported"),
        (b"OggS" + zipped(), 422, "damaged"),
        (flac_bomb(), 413, "longer than 600 s"),
        (wav(192_000, 1), 422, "at most 96000 Hz"),
        (wav(16_000, 0), 422, "audio: "),
        (wav(16_000, 200), 422, "audio: "),
        (wav(0, 1), 422, "audio: "),
        (b"OggS" + bytes(16_000_000), 413, "larger than 16000000 bytes"),
        (b"OggS" + bytes(17_000_000), 413, "larger than a voice note may be"),
    ],
    ids=[
        "nothing",
        "text",
        "pdf",
        "playlist",
        "cut",
        "noise-after-the-head",
        "cut-wav",
        "three-hours-of-amr",
        "zip",
        "zip-as-ogg",
        "flac-bomb",
        "192-khz",
        "no-channel",
        "200-channels",
        "0-hz",
        "too-large",
        "larger-than-any-note",
    ],
)
def test_what_is_no_voice_note(node: SpeechNode, audio: bytes, status: int, says: str) -> None:
    assert_problem(node.transcribe(audio), status, says)


def test_an_hour_of_silence_as_a_voice_note(node: SpeechNode) -> None:
    audio = hour_of_opus()
    assert len(audio) < 4_000_000  # small enough to be let in: its length is what stops it

    assert_problem(node.transcribe(audio), 413, "longer than 600 s")


def hour_of_opus() -> bytes:
    """One second of silence, encoded once and put 3600 times into one OGG file."""
    file = io.BytesIO()
    with av.open(io.BytesIO(silence(1)), "r") as second, av.open(file, "w", format="ogg") as hour:
        stream = hour.add_stream_from_template(second.streams.audio[0])
        packets = [packet for packet in second.demux() if packet.size][:50]
        step = packets[0].duration or 0
        for number in range(3600 * len(packets)):
            packet = packets[number % len(packets)]
            packet.stream = stream
            packet.pts = packet.dts = number * step
            hour.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "large"}, "model: 'large' is not served here; allowed: medium"),
        ({"model": "../../etc"}, "allowed: medium"),
        (
            {"language": "klingon"},
            "language: 'klingon' is not known to model 'medium'; allowed: auto, en, es, pt",
        ),
        ({"language": "de"}, "allowed: auto, en, es, pt"),
        ({"client": "No Such"}, "clientId: 'No Such' is not a client id"),
        ({"prompt": "x" * 4001}, "prompt: longer than 4000 characters"),
    ],
)
def test_a_field_that_is_not_allowed(
    node: SpeechNode, note: bytes, fields: dict[str, str], says: str
) -> None:
    assert_problem(node.transcribe(note, **fields), 400, says)


def test_a_prompt_with_nul_bytes_is_only_a_prompt(node: SpeechNode, note: bytes) -> None:
    assert node.transcribe(note, prompt="a\0b").status_code == 200


def test_a_form_without_the_file(node: SpeechNode) -> None:
    answer = node.http.post("/api/transcribe", files={"sound": b"x"})

    assert_problem(answer, 400, "audio: a file part of this name is needed")


def test_a_body_that_is_no_form(node: SpeechNode) -> None:
    assert_problem(node.http.post("/api/transcribe", json={"audio": "x"}), 415, "multipart/form-data")


def test_an_unknown_path_and_a_wrong_method(node: SpeechNode) -> None:
    assert node.http.get("/api/transcribe").status_code == 405
    assert node.http.get("/api/transcriptions").status_code == 404


def test_only_services_may_ask(node: SpeechNode, note: bytes, keys: Keys) -> None:
    def ask(audience: str, scope: str) -> httpx.Response:
        token = keys.signer().sign(subject="x:y", audience=audience, scopes=frozenset({scope}))
        headers = {"Authorization": f"Bearer {token}"}
        return node.http.post("/api/transcribe", files={"audio": note}, headers=headers)

    assert_problem(ask("speech", "operator"), 403, "service")
    assert_problem(ask("speech", "bot"), 403, "service")
    assert_problem(ask("gateway", "service"), 401, "does not verify")
    with httpx.Client(base_url=node.http.base_url, trust_env=False) as stranger:
        anonymous = stranger.post("/api/transcribe", files={"audio": note})
        openai_form = stranger.post("/v1/audio/transcriptions", files={"file": note})
    assert_problem(anonymous, 401, "token")
    assert_problem(openai_form, 401, "token")
    assert anonymous.headers["www-authenticate"] == "Bearer"


def test_a_note_over_the_nodes_own_limits(start_node: StartNode, note: bytes) -> None:
    with start_node(top=f"max_seconds = 1.5\nmax_bytes = {len(note) + 2000}") as small:
        small.wait_ready()

        assert_problem(small.transcribe(note), 413, "audio: longer than 1.5 s")
        assert_problem(small.transcribe(note + bytes(2001)), 413, f"larger than {len(note) + 2000} bytes")
        assert small.transcribe(silence(1.2)).json()["reason"] == "silence"


def damaged(audio: bytes, flips: list[tuple[int, int]], cut: float) -> bytes:
    """`audio` with some bits flipped and its end cut off."""
    file = io.BytesIO(audio)
    for position, bit in flips:
        file.seek(position % len(audio))
        old = audio[position % len(audio)]
        file.write(bytes([old ^ 1 << bit]))
    return file.getvalue()[: int(len(audio) * cut)]


FLIPS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), max_size=12)
CUT = st.one_of(st.just(1.0), st.floats(0.0, 1.0))
FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # those used here are the session's
)


@FUZZ
@given(flips=FLIPS, cut=CUT)
def test_a_damaged_note_is_heard_or_refused(
    node: SpeechNode, note: bytes, flips: list[tuple[int, int]], cut: float
) -> None:
    answer = node.transcribe(damaged(note, flips, cut))

    assert answer.status_code in {200, 400, 413, 415, 422}, answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"


def test_random_bytes_after_every_signature(node: SpeechNode) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    starts = [b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf1", b"\0\0\0\x20ftypM4A ", b"\x1aE\xdf\xa3", b"fLaC"]
    starts += [b"#!AMR\n", b"RIFF\xff\xff\0\0WAVEfmt "]
    for start in starts * 3:
        audio = start + rng.randbytes(rng.randrange(20_000))
        assert node.transcribe(audio).status_code in {200, 413, 415, 422}, (seed, start)


def test_noise_is_no_damage(node: SpeechNode) -> None:
    assert node.transcribe(noise(1, random.Random(3))).status_code == 200


def resident(node: SpeechNode) -> int:
    """Bytes that the node's processes hold."""
    total = 0
    for pid in [node.process.pid, *descendants(node.process.pid)]:
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def test_bombs_cost_no_memory(node: SpeechNode) -> None:
    bomb = flac_bomb()
    node.transcribe(bomb)
    before = resident(node)

    for _ in range(5):
        assert_problem(node.transcribe(bomb), 413, "longer than 600 s")

    assert resident(node) < before + 60_000_000, "a bomb has 115 MB of samples, and none is kept"


def test_a_caller_who_hangs_up_in_the_middle_of_the_file(node: SpeechNode, note: bytes) -> None:
    host, port = node.http.base_url.host, node.http.base_url.port
    assert port is not None
    head = (
        f"POST /api/transcribe HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(note) + 500}\r\n"
        f"Authorization: {node.http.headers['Authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'
    )
    for _ in range(20):
        with socket.create_connection((host, port), timeout=20) as caller:
            caller.sendall(head.encode() + note[: len(note) // 2])

    node.wait_held(0)
    assert "unhandled error" not in node.log_text()


def test_a_caller_who_hangs_up_while_it_waits_leaves_its_place(start_node: StartNode, note: bytes) -> None:
    with start_node(top="queue_limit = 2\ndecoders = 1\nnum_workers = 1") as node:
        node.wait_ready()
        with node.frozen_decoders():
            with pytest.raises(httpx.ReadTimeout):
                node.http.post("/api/transcribe", files={"audio": ("note.ogg", note)}, timeout=2.0)

            node.wait_held(0)
        assert node.transcribe(note).json()["transcription"] == SENTENCE
        assert "unhandled error" not in node.log_text()


def test_one_client_cannot_fill_a_node(start_node: StartNode, note: bytes) -> None:
    with start_node(top="queue_limit = 4\ndecoders = 1\nnum_workers = 1") as node:
        node.wait_ready()
        with node.frozen_decoders():
            held = [node.begin(note, client="loud") for _ in range(2)]
            node.wait_held(2)

            refused = node.transcribe(note, client="loud")
            assert_problem(refused, 429, "2 voice notes of this client are waiting already")
            assert int(refused.headers["retry-after"]) >= 1
            held.append(node.begin(note, client="quiet"))
            node.wait_held(3)
        assert {answer.result().json()["transcription"] for answer in held} == {SENTENCE}


def test_memory_stays_flat(start_node: StartNode, note: bytes) -> None:
    """The short form of `make bench-speech`, which has 5,000 notes."""
    with start_node() as node:
        node.wait_ready()
        for _ in range(3):
            for answer in [node.begin(note) for _ in range(8)]:
                assert answer.result().status_code == 200
        before = resident(node)

        for _ in range(6):
            for answer in [node.begin(note) for _ in range(8)]:
                assert answer.result().status_code == 200

        assert resident(node) < before * 1.15
