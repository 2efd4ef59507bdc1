"""Action `vault_secret`: sets or removes one secret of an Ansible Vault file, on the controller.

Arguments:
    path: the vault file.
    name: the secret's name in it.
    value: the secret; empty removes it.

Returns `changed`. The file is decrypted and encrypted in memory and replaced in one step, mode 0600; other
secrets in it stay as they are. (`generate_secrets` makes the ones that need no person.)
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.vault import VaultLib
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"path", "name", "value"})
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set or remove the secret."""
        super().run(tmp, task_vars)
        path, name = Path(self._task.args["path"]), str(self._task.args["name"])
        value = str(self._task.args["value"])
        if not path.is_file():
            raise AnsibleActionFail(f"{path}: there is no vault yet; run playbooks/site.yml first")
        vault = VaultLib(self._loader._vault.secrets)  # noqa: SLF001  (core offers no public way)
        secrets = yaml.safe_load(vault.decrypt(path.read_bytes())) or {}
        wanted = {key: each for key, each in secrets.items() if key != name} | (
            {name: value} if value else {}
        )
        if wanted == secrets:
            return {"changed": False}
        if not self._task.check_mode:
            text = "---\n" + yaml.safe_dump(wanted, sort_keys=True)
            replace(path, vault.encrypt(text.encode()))
        return {"changed": True}


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file in one step, mode 0600."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".vault-", delete=False) as draft:
        try:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        except OSError:
            Path(draft.name).unlink(missing_ok=True)
            raise
