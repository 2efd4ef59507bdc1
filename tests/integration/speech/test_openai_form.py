"""`POST /v1/audio/transcriptions`, asked by the `openai` client itself."""

import re

import openai
import pytest

from tests.integration.speech.conftest import SENTENCE
from tests.support.speech_node import SpeechNode


@pytest.fixture
def client(node: SpeechNode) -> openai.OpenAI:
    token = node.http.headers["Authorization"].removeprefix("Bearer ")
    plain = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=f"{node.http.base_url}/v1", api_key=token, http_client=plain, max_retries=0)


def test_json(client: openai.OpenAI, note: bytes) -> None:
    with client:
        heard = client.audio.transcriptions.create(file=("note.ogg", note), model="medium", language="pt")

    assert heard.text == SENTENCE


def test_the_language_is_detected_unless_named(client: openai.OpenAI, note: bytes) -> None:
    with client:
        heard = client.audio.transcriptions.create(
            file=("note.ogg", note), model="medium", response_format="verbose_json"
        )

    assert (heard.text, heard.language) == (SENTENCE, "pt")
    assert 1 < float(heard.duration) < 5
    assert heard.segments is not None
    assert [segment.text for segment in heard.segments] == [SENTENCE]


def test_text(client: openai.OpenAI, note: bytes) -> None:
    with client:
        heard = client.audio.transcriptions.create(
            file=("note.ogg", note), model="medium", response_format="text"
        )

    assert heard == SENTENCE + "\n"


def test_what_is_not_offered_is_refused(client: openai.OpenAI, note: bytes) -> None:
    with client:
        with pytest.raises(openai.BadRequestError, match="allowed: json, text, srt, verbose_json, vtt"):
            client.audio.transcriptions.create(
                file=("note.ogg", note), model="medium", response_format="diarized_json"
            )
        with pytest.raises(openai.BadRequestError, match="allowed: medium"):
            client.audio.transcriptions.create(file=("note.ogg", note), model="gpt-4o-transcribe")
        with pytest.raises(openai.BadRequestError, match=r"temperature: 1\.5; allowed: 0 to 1"):
            client.audio.transcriptions.create(file=("note.ogg", note), model="medium", temperature=1.5)
        with pytest.raises(openai.BadRequestError, match="allowed: segment"):
            client.audio.transcriptions.create(
                file=("note.ogg", note),
                model="medium",
                response_format="verbose_json",
                timestamp_granularities=["word"],
            )


def test_subtitles(client: openai.OpenAI, note: bytes) -> None:
    with client:
        srt = client.audio.transcriptions.create(
            file=("note.ogg", note), model="whisper-1", response_format="srt", language="pt"
        )
        vtt = client.audio.transcriptions.create(
            file=("note.ogg", note), model="whisper-1", response_format="vtt", language="pt"
        )

    clock = r"\d\d:\d\d:\d\d"
    assert re.fullmatch(rf"1\n{clock},\d\d\d --> {clock},\d\d\d\n{SENTENCE}\n", str(srt))
    assert re.fullmatch(rf"WEBVTT\n\n{clock}\.\d\d\d --> {clock}\.\d\d\d\n{SENTENCE}\n", str(vtt))
