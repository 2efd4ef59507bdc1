#!/usr/bin/python3
"""Module `python_target`: what a wheel must fit to run on this host. It looks and changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_target
short_description: What a wheel must fit to run on this host
description:
  - Tells the marker environment of PEP 508, the machine and the glibc of the Python that runs this module.
  - The kernel's release and version are left empty, so that a new kernel does not make a new release.
options: {}
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Ask what a release must be built for
  python_target:
  register: __release_target
"""

RETURN = r"""
python:
  description: Version of the Python, such as C(3.11.2).
  type: str
  returned: success
executable:
  description: Its path.
  type: path
  returned: success
machine:
  description: The machine's architecture, such as C(x86_64).
  type: str
  returned: success
glibc:
  description: Version of the C library, such as C(2.36).
  type: str
  returned: success
markers:
  description: The marker environment.
  type: dict
  returned: success
"""

import os  # noqa: E402  (a module's documentation comes first)
import platform  # noqa: E402
import sys  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402


def marker_environment() -> dict[str, str]:
    """The variables that a requirement's marker may ask for."""
    version = sys.implementation.version
    full = f"{version.major}.{version.minor}.{version.micro}"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": full,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": "",
        "platform_system": platform.system(),
        "platform_version": "",
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def main() -> None:
    """The module's entry."""
    module = AnsibleModule({}, supports_check_mode=True)
    module.exit_json(
        changed=False,
        python=platform.python_version(),
        executable=sys.executable,
        machine=platform.machine(),
        glibc=(os.confstr("CS_GNU_LIBC_VERSION") or "none").split()[-1],
        markers=marker_environment(),
    )


if __name__ == "__main__":
    main()
