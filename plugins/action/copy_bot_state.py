"""Action `copy_bot_state`: a stopped bot's state directory from one host to another, compared by hashes.

The data go through the controller's own SSH connections, and are never stored on it. What is at the target is
replaced by the whole copy, or not at all.

Arguments:
    source, target: hosts of the inventory.
    folder: the state directory, the same on both.
    user: who owns it at the target.
    timeout: seconds (300).

Returns `files`, `bytes` and `seconds`. In check mode nothing is copied.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PLUGINS = Path(__file__).parent.parent
PROGRAM = PLUGINS / "module_utils/bot_state.py"
TIMEOUT = 300.0  # seconds
BLOCK = 1 << 18  # bytes
# The first line is the program, the second its job; what follows is the program's own.
BOOTSTRAP = (
    "import json, sys; read = sys.stdin.buffer.readline; "
    "exec(compile(json.loads(read()), 'orbitbot-bot-state', 'exec'), names := {'__name__': 'bot_state'}); "
    "sys.exit(names['main'](json.loads(read())))"
)


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"source", "target", "folder", "user", "timeout"})
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Copy, or fail with what either host said."""
        super().run(tmp, task_vars)
        if self._task.check_mode:
            return {"changed": True, "skipped": True}
        hostvars = (task_vars or {})["hostvars"]
        source, target = (str(self._task.args[name]) for name in ("source", "target"))
        began = time.monotonic()
        copied = copy(
            command(source, hostvars[source]),
            command(target, hostvars[target]),
            folder=str(self._task.args["folder"]),
            user=str(self._task.args["user"]),
            timeout=float(self._task.args.get("timeout", TIMEOUT)),
            names=(source, target),
        )
        return {"changed": True, "seconds": round(time.monotonic() - began, 2), **copied}


def command(host: str, variables: Mapping[str, Any]) -> list[str]:
    """What runs a program on a host."""
    lock = load(PLUGINS / "action/fleet_lock.py")
    words: list[str] = lock.python_on(host, variables)
    if words[-2:-1] == ["-c"]:
        return [*words[:-1], BOOTSTRAP]
    python = words[-1].partition(" ")[0]
    return [*words[:-1], f'{python} -c "{BOOTSTRAP}"']


def copy(
    source: list[str],
    target: list[str],
    *,
    folder: str,
    user: str,
    timeout: float,
    names: tuple[str, str] = ("the old host", "the new host"),
) -> dict[str, Any]:
    """Have one command send and the other receive.

    Raises:
        AnsibleActionFail: says which side failed, and why.
    """
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen(source, **pipes) as sender,  # noqa: S603  (no shell; the project's own program)
        subprocess.Popen(target, **pipes) as receiver,  # noqa: S603
    ):
        killer = threading.Timer(timeout, _kill, (sender, receiver))
        killer.start()
        try:
            said = _said(sender), _said(receiver)
            _begin(sender, {"side": "send", "folder": folder})
            _close(sender.stdin)
            _begin(receiver, {"side": "receive", "folder": folder, "user": user})
            _relay(sender, receiver)
            answer = receiver.stdout.read() if receiver.stdout else b""
            ended = sender.wait(), receiver.wait()
        finally:
            killer.cancel()
            sender.kill()
            receiver.kill()
    sides = list(zip(names, ended, said, strict=True))
    if ended[1] and ended[0] < 0:  # the receiver broke off, and the sender was ended for it
        sides.reverse()
    for name, status, words in sides:
        if status:
            raise AnsibleActionFail(
                f"the copy failed on {name}: {''.join(words).strip() or f'status {status}'}"
            )
    found: dict[str, Any] = json.loads(answer)
    return found


def _begin(process: subprocess.Popen[bytes], job: Mapping[str, str]) -> None:
    assert process.stdin is not None  # noqa: S101  (for the type checker)
    try:
        for each in (PROGRAM.read_text("utf-8"), dict(job)):
            process.stdin.write(json.dumps(each).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:  # its status and words tell
        return


def _relay(sender: subprocess.Popen[bytes], receiver: subprocess.Popen[bytes]) -> None:
    assert sender.stdout is not None  # noqa: S101
    assert receiver.stdin is not None  # noqa: S101
    try:
        shutil.copyfileobj(sender.stdout, receiver.stdin, BLOCK)
    except BrokenPipeError:
        sender.kill()
    _close(receiver.stdin)


def _kill(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()


def _close(stream: Any) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return


def _said(process: subprocess.Popen[bytes]) -> list[str]:
    """What a process writes to standard error, filled in as it comes."""
    words: list[str] = []

    def read() -> None:
        assert process.stderr is not None  # noqa: S101
        words.extend(line.decode(errors="replace") for line in process.stderr)

    threading.Thread(target=read, daemon=True).start()
    return words


def load(path: Path) -> ModuleType:
    """Another plugin's file as a module: Ansible's plugins cannot import each other by name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101  (for the type checker)
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
