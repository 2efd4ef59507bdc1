#!/usr/bin/python3
"""Module `nvidia_gpu`: what the NVIDIA driver says of a host's GPU. It looks and changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nvidia_gpu
short_description: What the NVIDIA driver says of a host's GPU
description:
  - Asks the driver by its own tool, C(nvidia-smi). A host without the tool, or whose driver does not
    answer, has no GPU that can be used; why not is returned, and is no failure of the module.
options: {}
"""

RETURN = r"""
found:
  description: Whether there is a GPU and its driver answers.
  type: bool
reason:
  description: Why there is none; empty if there is one.
  type: str
name:
  description: The first GPU's name.
  type: str
driver:
  description: The driver's version.
  type: str
processes:
  description: Names of the processes that compute on it, as far as the driver tells.
  type: list
"""

import shutil  # noqa: E402  (a module's documentation comes first)
import subprocess  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

TOOL = "nvidia-smi"
TIMEOUT = 60.0  # seconds; the first question after a boot takes some


def ask(tool: str, query: str) -> list[str]:
    """The lines that answer one query.

    Raises:
        OSError: the tool cannot be run.
        subprocess.SubprocessError: it failed, or does not end.
    """
    done = subprocess.run(  # noqa: S603  (fixed words)
        [tool, query, "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def look() -> dict[str, Any]:
    """What the module returns."""
    nothing: dict[str, Any] = {"found": False, "name": "", "driver": "", "processes": []}
    tool = shutil.which(TOOL)
    if tool is None:
        return nothing | {"reason": f"there is no {TOOL}: the NVIDIA driver is not installed"}
    try:
        gpus = ask(tool, "--query-gpu=name,driver_version")
        processes = ask(tool, "--query-compute-apps=process_name")
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip() or f"status {error.returncode}"
        return nothing | {"reason": f"{TOOL}: {said}"}
    except (OSError, subprocess.SubprocessError) as error:
        return nothing | {"reason": f"{TOOL}: {error}"}
    if not gpus:
        return nothing | {"reason": f"{TOOL} lists no GPU"}
    name, _, driver = (part.strip() for part in gpus[0].rpartition(","))
    return {"found": True, "reason": "", "name": name, "driver": driver, "processes": processes}


def main() -> None:
    """Run as Ansible runs it."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, **look())


if __name__ == "__main__":
    main()
