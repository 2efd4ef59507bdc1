"""How long a voice note is, without decoding it."""

import io
import wave

import pytest

from orbitbot.gateway.audio_length import LONGEST, SHORTEST, audio_seconds
from tests.support.voices import silence


@pytest.mark.parametrize("seconds", [1.0, 7.5, 90.0])
def test_a_voice_note_says_it_itself(seconds: float) -> None:
    assert audio_seconds(silence(seconds)) == pytest.approx(seconds, abs=0.1)


def test_any_other_file_is_guessed_by_its_size() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))

    assert 1 < audio_seconds(file.getvalue()) < 10


@pytest.mark.parametrize("file", [b"", b"x", b"OggS", b"OggS" + b"\xff" * 60, b"OggS\0\0" + b"\x7f" * 8])
def test_what_makes_no_sense_is_bounded(file: bytes) -> None:
    assert SHORTEST <= audio_seconds(file) <= LONGEST


def test_the_longest_is_bounded() -> None:
    assert audio_seconds(bytes(50_000_000)) == LONGEST
