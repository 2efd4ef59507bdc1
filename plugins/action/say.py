"""Action `say`: prints a text as it is, which is how a playbook ends: one line of what now runs where.

`debug` prints the same with quotes and indentation, which neither pastes nor parses.

Arguments:
    text: what to print; may have several lines.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"text"})
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print; nothing changes."""
        super().run(tmp, task_vars)
        Display().display(str(self._task.args["text"]).rstrip("\n"))
        return {"changed": False}
