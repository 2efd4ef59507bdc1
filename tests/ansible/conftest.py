"""What the tests of playbooks and roles share."""

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.supervisor import Supervisor

REPOSITORY = Path(__file__).parents[2]


def load_plugin(relative: str) -> ModuleType:
    """A plugin or module file of the playbooks, imported by its path."""
    path = REPOSITORY / relative
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A private supervisord, running."""
    with tempfile.TemporaryDirectory(prefix="ob-sv-") as directory:  # short: it holds a Unix socket
        private = Supervisor(Path(directory))
        private.start()
        try:
            yield private
        finally:
            private.stop()
