"""The speech node as it runs on a host, with the small test model."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support.keys import Keys
from tests.support.speech_node import SpeechNode, speech_node
from tests.support.voices import MODEL_DIRECTORY, synthesise

SENTENCE = "quero sete pacotes de arroz"  # the model hears it right

StartNode = Callable[..., AbstractContextManager[SpeechNode]]


@pytest.fixture(scope="session")
def note() -> bytes:
    """`SENTENCE` as a voice note."""
    return synthesise(SENTENCE)


@pytest.fixture(scope="session")
def start_node(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> StartNode:
    """Starts a node of its own: `with start_node(top='queue_limit = 1') as node`."""

    @contextmanager
    def start(model: Path = MODEL_DIRECTORY, top: str = "") -> Iterator[SpeechNode]:
        directory = tmp_path_factory.mktemp("speech")
        with speech_node(keys, directory, {"medium": model}, top=f"cpu_threads = 1\n{top}") as node:
            yield node

    return start


@pytest.fixture(scope="session")
def node(start_node: StartNode) -> Iterator[SpeechNode]:
    """A node that is ready, shared by the tests that leave it as it is."""
    with start_node() as started:
        started.wait_ready()
        yield started
