"""A note without words gets an empty transcription and the reason, never invented text."""

import random

import pytest

from tests.support.speech_node import SpeechNode
from tests.support.voices import noise, silence


@pytest.mark.parametrize("language", ["pt", "auto"])
@pytest.mark.parametrize("seconds", [0.1, 3, 45])
def test_silence(node: SpeechNode, seconds: float, language: str) -> None:
    body = node.transcribe(silence(seconds), language=language).json()

    assert (body["transcription"], body["reason"], body["segments"]) == ("", "silence", [])
    assert body["confidence"] == 0
    assert body["duration"] == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("language", ["pt", "auto"])
@pytest.mark.parametrize("level", [0.002, 0.05, 0.2])
def test_noise(node: SpeechNode, level: float, language: str) -> None:
    body = node.transcribe(noise(4, random.Random(7), level), language=language).json()

    assert (body["transcription"], body["reason"]) == ("", "no speech heard")
