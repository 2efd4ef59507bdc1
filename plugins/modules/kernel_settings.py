#!/usr/bin/python3
"""Module `kernel_settings`: kernel parameters, where the host lets them be set."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Kernel parameters that hold now and after a reboot
description:
  - Sets what differs, and writes a file for C(systemd-sysctl).
  - A parameter that this kernel does not have, or that a container's host keeps for itself, is left out and
    named in RV(refused) with the reason. A value that the kernel calls wrong is an error.
options:
  path:
    description: The file.
    type: path
    required: true
  settings:
    description: Parameter to value, such as C(kernel.sysrq) to 0.
    type: dict
    required: true
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Set kernel parameters
  kernel_settings:
    path: /etc/sysctl.d/90-orbitbot.conf
    settings: {kernel.sysrq: 0}
"""

RETURN = r"""
refused:
  description: Parameter to the reason why it was left out.
  type: dict
  returned: always
set:
  description: The parameters that were set.
  type: list
  elements: str
  returned: always
"""

import errno  # noqa: E402  (a module's documentation comes first)
import os  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

ROOT = Path("/proc/sys")


def file_of(name: str) -> Path:
    """The parameter's file. A slash in a name stands for a dot, as in sysctl(8)."""
    return ROOT / "/".join(part.replace("/", ".") for part in name.split("."))


def refusal(file: Path) -> str:
    """Why the parameter cannot be set; empty when it can, by all that can be told without trying."""
    if not file.exists():
        return "this kernel has no such parameter"
    if os.statvfs(file).f_flag & os.ST_RDONLY:
        return "read-only here: it belongs to the machine that this container runs on"
    if not os.access(file, os.W_OK):
        return "the kernel does not let it be written"
    return ""


def current(file: Path) -> str:
    """The present value, with single spaces."""
    return " ".join(file.read_text("ascii").split())


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {"path": {"type": "path", "required": True}, "settings": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    refused: dict[str, str] = {}
    changed: list[str] = []
    kept: list[str] = []
    for name, value in module.params["settings"].items():
        file, wanted = file_of(name), " ".join(str(value).split())
        if file.exists() and current(file) == wanted:
            kept.append(f"{name} = {wanted}\n")
            continue
        reason = refusal(file)
        if not reason and not module.check_mode:
            try:
                file.write_text(wanted, "ascii")
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EACCES, errno.EROFS):
                    module.fail_json(msg=f"{name} = {wanted}: {error.strerror}")
                reason = f"the kernel refuses: {error.strerror}"
        if reason:
            refused[name] = reason
        else:
            changed.append(name)
            kept.append(f"{name} = {wanted}\n")
    before = path.read_text("utf-8") if path.exists() else ""
    after = "# Managed by Ansible\n" + "".join(kept)
    if before != after and not module.check_mode:
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(after, "utf-8")
        draft.replace(path)
    module.exit_json(
        changed=bool(changed) or before != after,
        set=changed,
        refused=refused,
        diff={"before": before, "after": after, "before_header": str(path), "after_header": str(path)},
    )


if __name__ == "__main__":
    main()
