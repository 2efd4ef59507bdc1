"""Which segments count as heard, how sure the model is, and what a model directory must hold."""

from dataclasses import replace
from pathlib import Path

import pytest
from faster_whisper.transcribe import Segment

from orbitbot.foundation.errors import Unavailable
from orbitbot.speech.model import _confidence, _is_speech, load_model
from tests.support.voices import MODEL_DIRECTORY

HEARD = Segment(
    id=1,
    seek=0,
    start=0.0,
    end=2.0,
    text=" bom dia",
    tokens=[300, 301],
    avg_logprob=-0.1,
    compression_ratio=1.0,
    no_speech_prob=0.01,
    words=None,
    temperature=0.0,
)


def test_a_sure_segment_counts() -> None:
    assert _is_speech(HEARD)


@pytest.mark.parametrize(
    "segment",
    [
        replace(HEARD, text="  "),
        replace(HEARD, no_speech_prob=0.9),  # invented over silence, sure as its words may be
        replace(HEARD, avg_logprob=-1.2),
    ],
)
def test_an_empty_invented_or_guessed_segment_does_not(segment: Segment) -> None:
    assert not _is_speech(segment)


def test_confidence_is_the_geometric_mean_over_all_tokens() -> None:
    sure, unsure = (
        replace(HEARD, avg_logprob=0.0, tokens=[1] * 3),
        replace(HEARD, avg_logprob=-0.4, tokens=[1]),
    )

    assert _confidence([sure]) == pytest.approx(1.0)
    assert _confidence([sure, unsure]) == pytest.approx(0.9048, abs=1e-4)  # exp(-0.1)


def load(directory: Path) -> str:
    return str(
        load_model("medium", directory, device="cpu", compute_type="auto", cpu_threads=1, num_workers=1)
    )


def test_the_test_model_says_what_it_is() -> None:
    assert load(MODEL_DIRECTORY) == "test model, 107 words (medium on cpu, int8)"


def test_a_model_without_a_description_says_its_name(tmp_path: Path) -> None:
    link(tmp_path, "orbitbot-model.json")

    assert load(tmp_path) == "medium (medium on cpu, int8)"


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    link(tmp_path, missing)

    with pytest.raises(Unavailable) as caught:
        load(tmp_path)

    assert f"{tmp_path / missing}: no such file" in caught.value.detail


def test_a_name_that_a_hub_would_know_is_only_a_directory_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(Unavailable, match="medium: no such directory"):
        load(Path("medium"))


@pytest.mark.parametrize(
    ("file", "content"),
    [("model.bin", b"not a model"), ("tokenizer.json", b"{"), ("orbitbot-model.json", b'{"test_model": 3}')],
)
def test_a_damaged_file_is_no_crash(tmp_path: Path, file: str, content: bytes) -> None:
    link(tmp_path, file)
    (tmp_path / file).write_bytes(content)

    with pytest.raises(Unavailable, match="model 'medium': "):
        load(tmp_path)


def link(directory: Path, left_out: str) -> None:
    """Make `directory` the test model without one file."""
    for file in MODEL_DIRECTORY.iterdir():
        if file.name != left_out:
            (directory / file.name).symlink_to(file)
