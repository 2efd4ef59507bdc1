"""A bot's state on its way: whole or not at all, never while a process uses it."""

import fcntl
import getpass
import io
import json
import os
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail

from tests.ansible.conftest import REPOSITORY, load_plugin

state = load_plugin("plugins/module_utils/bot_state.py")
action = load_plugin("plugins/action/copy_bot_state.py")
LOCAL = [sys.executable, "-c", action.BOOTSTRAP]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stopped bot's state."""
    made = tmp_path / "old/padaria"
    (made / "neonize").mkdir(parents=True)
    (made / "journal.db").write_bytes(os.urandom(300_000))
    (made / "neonize/session.db").write_bytes(os.urandom(5000))
    (made / "lock").write_text("123\n")
    os.mkfifo(made / "pipe")
    return made


def sent(folder: Path) -> bytes:
    stream = io.BytesIO()
    state.send(folder, stream)
    return stream.getvalue()


def receive(content: bytes, target: Path) -> dict[str, int]:
    target.parent.mkdir(exist_ok=True)
    found: dict[str, int] = state.receive(target, getpass.getuser(), io.BytesIO(content))
    return found


def test_everything_arrives(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "new/padaria"
    assert receive(sent(folder), target) == {"files": 3, "bytes": 305_004}
    assert state.manifest(target) == state.manifest(folder)
    assert [each.name for each in target.parent.iterdir()] == ["padaria"]


def test_what_was_there_is_replaced(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "new/padaria"
    target.mkdir(parents=True)
    (target / "journal.db").write_text("of an earlier stay")
    (target / "extra").write_text("x")
    receive(sent(folder), target)
    assert state.manifest(target) == state.manifest(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.95])
def test_a_truncated_copy_changes_nothing(folder: Path, tmp_path: Path, share: float) -> None:
    target = tmp_path / "new/padaria"
    target.mkdir(parents=True)
    (target / "journal.db").write_text("of an earlier stay")
    content = sent(folder)
    with pytest.raises(state.StateError):
        receive(content[: int(len(content) * share)], target)
    assert (target / "journal.db").read_text() == "of an earlier stay"
    assert [each.name for each in target.parent.iterdir()] == ["padaria"]


def test_a_copy_that_differs_is_refused(folder: Path, tmp_path: Path) -> None:
    line, _, archive = sent(folder).partition(b"\n")
    wanted = json.loads(line) | {"journal.db": "0" * 64}
    with pytest.raises(state.StateError, match=r"differs from the original in journal\.db"):
        receive(json.dumps(wanted).encode() + b"\n" + archive, tmp_path / "new/padaria")


def test_what_was_not_announced_is_refused(folder: Path, tmp_path: Path) -> None:
    line, _, archive = sent(folder).partition(b"\n")
    wanted = json.loads(line)
    del wanted["neonize/session.db"]
    with pytest.raises(state.StateError, match="was not announced"):
        receive(json.dumps(wanted).encode() + b"\n" + archive, tmp_path / "new/padaria")


def test_a_state_in_use_is_neither_sent_nor_replaced(folder: Path, tmp_path: Path) -> None:
    content = sent(folder)
    with (folder / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(state.StateError, match=r"is in use by a process \(pid 123 by its own word\)"):
            sent(folder)
        with pytest.raises(state.StateError, match="is in use"):
            receive(content, folder)
    assert receive(content, folder)["files"] == 3


def test_both_sides_over_pipes(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    elsewhere = action.BOOTSTRAP.replace(
        "['main'](json.loads(read()))", "['main'](json.loads(read().replace(b'/old/', b'/new/')))"
    )
    assert elsewhere != action.BOOTSTRAP
    target = [sys.executable, "-c", elsewhere]
    done = action.copy(LOCAL, target, folder=str(folder), user=getpass.getuser(), timeout=30)
    assert done == {"files": 3, "bytes": 305_004}
    assert state.manifest(tmp_path / "new/padaria") == state.manifest(folder)


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_that_breaks_off_is_named(folder: Path, side: int) -> None:
    commands = [LOCAL, LOCAL]
    commands[side] = ["/bin/sh", "-c", "head -c 100 >/dev/null; echo gone >&2; exit 255"]
    with pytest.raises(AnsibleActionFail, match=("the old host" if side == 0 else "the new host")):
        action.copy(*commands, folder=str(folder), user=getpass.getuser(), timeout=30)
    assert (folder / "journal.db").stat().st_size == 300_000


def test_the_program_runs_alone() -> None:
    text = (REPOSITORY / "plugins/module_utils/bot_state.py").read_text()
    assert "import orbitbot" not in text
    assert "ansible" not in text.split('"""', 2)[2]
