"""Bad input gets a problem document of the 4xx kind, and the node goes on."""

import io
import random
import secrets
from collections.abc import Iterator

import av
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.speech.conftest import SENTENCE, StartNode
from tests.support.keys import Keys
from tests.support.speech_node import SpeechNode
from tests.support.voices import noise, silence

AN_HOUR_OF_AMR = b"#!AMR\n" + b"\x7c" * (3600 * 50)  # frames of 20 ms without data


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
        (AN_HOUR_OF_AMR, 413, "longer than 600 s"),
        (b"OggS" + bytes(16_000_000), 413, "larger than 16000000 bytes"),
        (b"OggS" + bytes(17_000_000), 413, "larger than a voice note may be"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
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
