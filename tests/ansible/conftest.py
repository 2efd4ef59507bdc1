"""What the tests of playbooks and roles share."""

import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import ansible.module_utils
import pytest

from tests.support.supervisor import Supervisor

REPOSITORY = Path(__file__).parents[2]
# A module's process: it finds `ansible.module_utils` of the project's own beside Ansible's, as in a playbook.
RUN_MODULE = (
    "import runpy, sys, ansible.module_utils as shared; "
    "folder, module = sys.argv[1:]; del sys.argv[1:]; shared.__path__.append(folder); "
    "runpy.run_path(module, run_name='__main__')"
)
MODULE_UTILS = str(REPOSITORY / "plugins/module_utils")


def module_command(relative: str) -> list[str]:
    """What runs a module of the playbooks, which reads its arguments from standard input."""
    return [sys.executable, "-c", RUN_MODULE, MODULE_UTILS, str(REPOSITORY / relative)]


def load_plugin(relative: str) -> ModuleType:
    """A plugin or module file of the playbooks, imported by its path."""
    if MODULE_UTILS not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(MODULE_UTILS)
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
