"""What a model directory must hold, and what a model says of itself."""

from pathlib import Path

import pytest

from orbitbot.foundation.errors import Unavailable
from orbitbot.speech.hardware import Hardware
from orbitbot.speech.model import load_model
from tests.support.voices import MODEL_DIRECTORY


def load(directory: Path) -> str:
    return str(load_model("medium", directory, Hardware("cpu", "int8", 1, 1, 1, 4)))


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
