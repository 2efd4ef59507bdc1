#!/usr/bin/python3
"""Module `wireguard_key`: this host's WireGuard key, made on it and never read off it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wireguard_key
short_description: A host's WireGuard key pair; only the public key is returned
description:
  - Makes the private key where there is none, mode 0600, and returns the public key.
  - Needs C(wg). In check mode a host without it counts as changed and has an empty public key.
options:
  path:
    description: The file of the private key.
    type: path
    required: true
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Make the host's key
  wireguard_key:
    path: /etc/wireguard/mesh0.key
  register: __mesh_key
"""

RETURN = r"""
public_key:
  description: The public key in base64; empty in check mode when there is none yet.
  type: str
  returned: always
"""

import os  # noqa: E402  (a module's documentation comes first)
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402


def generate(module: AnsibleModule, path: Path) -> None:
    """Write a new private key to `path`; at no moment is it there in part or readable by others."""
    _, key, _ = module.run_command(["wg", "genkey"], check_rc=True)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def main() -> None:
    """The module's entry."""
    module = AnsibleModule({"path": {"type": "path", "required": True}}, supports_check_mode=True)
    path = Path(module.params["path"])
    missing = not path.exists()
    if missing and module.check_mode:
        module.exit_json(changed=True, public_key="")
    if missing:
        generate(module, path)
    _, public_key, _ = module.run_command(["wg", "pubkey"], data=path.read_text("ascii"), check_rc=True)
    module.exit_json(changed=missing, public_key=public_key.strip())


if __name__ == "__main__":
    main()
