#!/usr/bin/python3
"""Module `wireguard_kernel`: whether the kernel makes WireGuard interfaces itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wireguard_kernel
short_description: Whether the host's kernel can make a WireGuard interface
description:
  - Tries it with an interface of its own, which it removes again; it never counts as a change.
options: {}
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Look whether the kernel has WireGuard
  wireguard_kernel:
  register: __mesh_kernel
"""

RETURN = r"""
supported:
  description: Whether it can.
  type: bool
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402  (a module's documentation comes first)

PROBE = "wgprobe0"
UNSUPPORTED = ("unknown device type", "operation not supported", "not supported")


def main() -> None:
    """The module's entry."""
    module = AnsibleModule({}, supports_check_mode=True)
    status, _, err = module.run_command(["ip", "link", "add", "dev", PROBE, "type", "wireguard"])
    if status == 0 or "file exists" in err.lower():
        module.run_command(["ip", "link", "delete", "dev", PROBE], check_rc=True)
        module.exit_json(changed=False, supported=True)
    if not any(words in err.lower() for words in UNSUPPORTED):
        module.fail_json(msg=f"cannot tell whether the kernel has WireGuard: {err.strip()}")
    module.exit_json(changed=False, supported=False)


if __name__ == "__main__":
    main()
