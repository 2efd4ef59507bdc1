"""Models from a mirror: complete and checked, or not at all."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orbitbot.speech.mirror import fetch_model
from orbitbot.speech.model import check_directory
from tests.support.voices import MODEL_DIRECTORY

FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.json")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (the base's name)
        return


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The mirror's folder of the model `medium`."""
    folder = tmp_path / "served" / "medium"
    folder.mkdir(parents=True)
    sums = []
    for name in FILES:
        content = (MODEL_DIRECTORY / name).read_bytes()
        (folder / name).write_bytes(content)
        sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


@pytest.fixture
def mirror(served: Path) -> Iterator[str]:
    """Its address."""
    handler = partial(Quiet, directory=str(served.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_model_is_fetched_whole(mirror: str, tmp_path: Path) -> None:
    target = tmp_path / "models" / "medium"

    fetch_model(mirror, "medium", target)

    check_directory(target)
    assert {file.name for file in target.iterdir()} == set(FILES)
    assert (target / "model.bin").read_bytes() == (MODEL_DIRECTORY / "model.bin").read_bytes()
    assert [file.name for file in target.parent.iterdir()] == ["medium"]


def test_a_changed_file_is_refused_and_nothing_stays(mirror: str, served: Path, tmp_path: Path) -> None:
    (served / "model.bin").write_bytes(b"another model")
    target = tmp_path / "models" / "medium"

    with pytest.raises(ValueError, match=r"model\.bin: it is not the file that SHA256SUMS names"):
        fetch_model(mirror, "medium", target)

    assert not list(target.parent.iterdir())


def test_a_model_that_is_not_there(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"large/SHA256SUMS: HTTP Error 404"):
        fetch_model(mirror, "large", tmp_path / "large")


@pytest.mark.parametrize(
    ("sums", "says"),
    [
        ("<html>hello</html>", "not in the form of sha256sum"),
        ("", "not in the form of sha256sum"),
        (f"{'0' * 64}  ../../etc/passwd\n", "not in the form of sha256sum"),
        (f"{'0' * 64}  config.json\n", "names no model.bin"),
    ],
)
def test_sums_that_are_none(mirror: str, served: Path, tmp_path: Path, sums: str, says: str) -> None:
    (served / "SHA256SUMS").write_text(sums)

    with pytest.raises(ValueError, match=says):
        fetch_model(mirror, "medium", tmp_path / "medium")
