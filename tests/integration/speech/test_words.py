"""The words of real voice notes, made when the test runs."""

import random
import secrets

from tests.integration.speech.conftest import SENTENCE
from tests.support.speech_node import SpeechNode
from tests.support.voices import random_note, synthesise, word_errors

NOTES = 10
ALLOWED = 20  # one word in so many may be wrong


def test_ten_random_notes_have_at_most_one_word_in_twenty_wrong(node: SpeechNode) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    words = wrong = 0
    for _ in range(NOTES):
        said, audio = random_note(rng)
        heard = node.transcribe(audio).json()["transcription"]
        errors = word_errors(said, heard)
        print(f"{errors} wrong: {said!r} heard as {heard!r}")
        words += len(said.split())
        wrong += errors

    assert wrong * ALLOWED <= words, f"{wrong} of {words} words are wrong (seed {seed})"


def test_the_answer_has_the_contracts_form(node: SpeechNode, note: bytes) -> None:
    answer = node.transcribe(note)

    assert answer.status_code == 200
    body = answer.json()
    assert body["transcription"] == SENTENCE
    assert (body["language"], body["model"], body["reason"], body["testModel"]) == ("pt", "medium", "", True)
    assert 0.5 < body["confidence"] <= 1
    assert 1 < body["duration"] < 5
    assert body["decodeMs"] > 0
    assert body["inferenceMs"] > 0
    (segment,) = body["segments"]
    assert segment["text"] == SENTENCE
    assert 0 <= segment["start"] < segment["end"] <= body["duration"]


def test_a_language_is_detected_or_named(node: SpeechNode) -> None:
    english = synthesise("please send three boxes of rice", language="en")

    detected = node.transcribe(english, language="auto").json()
    named = node.transcribe(english, language="en").json()

    assert (detected["language"], detected["transcription"]) == ("en", "please send three boxes of rice")
    assert named["transcription"] == "please send three boxes of rice"


def test_a_regional_language_is_its_language(node: SpeechNode, note: bytes) -> None:
    body = node.transcribe(note, language="pt-BR").json()

    assert (body["language"], body["transcription"]) == ("pt", SENTENCE)


def test_a_prompt_and_a_client_may_come_along(node: SpeechNode, note: bytes) -> None:
    answer = node.transcribe(note, prompt="arroz, feijão", client="padaria", model="medium")

    assert answer.status_code == 200
    assert "arroz" in answer.json()["transcription"]


def test_the_log_tells_of_the_note_but_not_its_words(node: SpeechNode, note: bytes) -> None:
    node.transcribe(note, client="sapataria", prompt="segredo")

    lines = [line for line in node.log_text().splitlines() if '"sapataria"' in line]
    assert len(lines) == 1
    assert '"action":"transcribe"' in lines[0]
    assert "pacotes" not in node.log_text()
    assert "segredo" not in node.log_text()


def test_twenty_notes_at_once_are_all_heard_right(node: SpeechNode) -> None:
    sentences = [
        f"quero {number} caixas de leite" for number in ("três", "quatro", "cinco", "oito", "dez")
    ] * 4
    notes = {sentence: synthesise(sentence) for sentence in sentences}

    answers = [node.begin(notes[sentence]) for sentence in sentences]

    assert [answer.result().json()["transcription"] for answer in answers] == sentences
    assert node.check("queue")["detail"] == "0 of 32 notes"
