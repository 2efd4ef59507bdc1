"""Batches over different notes: the words are those of one note by one, and those of faster-whisper."""

import io
import random
import re

import pytest
from faster_whisper import WhisperModel

from orbitbot.speech.attempts import TEMPERATURES
from tests.integration.speech.conftest import StartNode
from tests.support.speech_node import SpeechNode
from tests.support.voices import (
    CLEAR_VARIANTS,
    MODEL_DIRECTORY,
    Voice,
    ogg,
    random_sentence,
    speak,
    synthesise,
    with_noise,
)

SEED = 8
AT_ONCE = 8


@pytest.fixture(scope="module")
def notes() -> list[tuple[str, bytes]]:
    """Twelve notes, language and sound: clear, in noise, and foreign ones."""
    rng = random.Random(SEED)
    made = []
    for number in range(10):
        voice = Voice(rng.choice(CLEAR_VARIANTS), speed=rng.randint(150, 180))
        samples = speak(random_sentence(rng), voice)
        made.append(("pt", ogg(with_noise(samples, 20, number) if number % 2 else samples)))
    made.append(("en", synthesise("please send three boxes of rice", language="en")))
    made.append(("auto", synthesise("necesito cinco botellas de agua", language="es")))
    return made


@pytest.fixture(scope="module")
def by_faster_whisper(notes: list[tuple[str, bytes]]) -> list[str]:
    """What faster-whisper hears in each, one after the other, with the settings that the node uses."""
    model = WhisperModel(
        str(MODEL_DIRECTORY), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
    )
    heard = []
    for language, audio in notes:
        segments, _ = model.transcribe(
            io.BytesIO(audio),
            language=None if language == "auto" else language,
            beam_size=5,
            temperature=TEMPERATURES,
            condition_on_previous_text=False,
            vad_filter=True,
        )
        heard.append(" ".join(segment.text.strip() for segment in segments))
    return heard


def batches(node: SpeechNode, stage: str) -> dict[int, int]:
    """Batches so far: windows in a batch → how many such batches."""
    text = node.http.get("/metrics").text
    found = re.findall(
        rf'^orbitbot_speech_batches_total{{stage="{stage}",windows="(\d+)"}} (\d+)$', text, re.MULTILINE
    )
    return {int(windows): int(count) for windows, count in found}


def test_the_words_of_faster_whisper_one_by_one_and_together(
    start_node: StartNode, notes: list[tuple[str, bytes]], by_faster_whisper: list[str]
) -> None:
    with start_node(top="num_workers = 1\nencode_batch = 4\ndecode_batch = 8") as node:
        node.wait_ready()
        alone = [node.transcribe(audio, language=language).json() for language, audio in notes]
        assert batches(node, "encode").keys() == {1}

        with node.frozen_decoders():
            futures = [
                node.begin(audio, language=language, client=f"client-{number % 3}")
                for number, (language, audio) in enumerate(notes * 2)
            ]
            node.wait_held(len(futures))
        together = [future.result().json() for future in futures]

        assert max(batches(node, "encode")) == 4
        assert max(batches(node, "decode")) > 1

    assert [body["transcription"] for body in alone] == by_faster_whisper
    assert [body["transcription"] for body in together] == by_faster_whisper * 2
    assert [body["language"] for body in together[-2:]] == ["en", "es"]
    for one, other in zip(together, alone * 2, strict=True):
        assert one["segments"] == other["segments"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=0.02)


def test_one_damaged_note_among_others_fails_alone(node: SpeechNode, notes: list[tuple[str, bytes]]) -> None:
    good = notes[0][1]
    expected = node.transcribe(good).json()["transcription"]
    damaged = good[:200] + bytes(400) + b"OggS" + bytes(30)

    answers = [node.begin(damaged if number == 3 else good) for number in range(AT_ONCE)]
    statuses = [answer.result().status_code for answer in answers]

    assert statuses[:3] + statuses[4:] == [200] * (AT_ONCE - 1)
    assert statuses[3] == 422 or not answers[3].result().json()["transcription"]
    assert {answer.result().json()["transcription"] for answer in answers[:3]} == {expected}
