"""Action `generate_secrets`: adds what is missing to an Ansible Vault file, on the controller.

Arguments:
    path: the vault file. It is made if it does not exist.

Returns `changed` and `added`, the names (never the values) of the secrets that were made. A secret
that exists is never altered. The file is encrypted in memory and replaced in one step, mode 0600.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.orbitbot_secrets import missing_secrets
from ansible.parsing.vault import VaultLib
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"path"})
    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Generate the missing secrets."""
        super().run(tmp, task_vars)
        path = Path(self._task.args["path"])
        vault = VaultLib(self._loader._vault.secrets)  # noqa: SLF001  (core offers no public way)
        known: dict[str, str] = {}
        if path.exists():
            known = yaml.safe_load(vault.decrypt(path.read_bytes())) or {}
        try:
            added = missing_secrets(known)
        except ValueError as error:
            raise AnsibleActionFail(f"{path}: {error}") from error
        if added and not self._task.check_mode:
            text = "---\n" + yaml.safe_dump(known | added, sort_keys=True)
            _replace(path, vault.encrypt(text.encode()))
        return {"changed": bool(added), "added": sorted(added)}


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".vault-", delete=False) as draft:
        try:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        except OSError:
            Path(draft.name).unlink(missing_ok=True)
            raise
