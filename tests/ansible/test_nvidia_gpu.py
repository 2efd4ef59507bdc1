"""`nvidia_gpu`: what the driver's own tool says, for which stand-ins of it speak here."""

from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import load_plugin

TWO = """case "$1" in
*gpu=*) echo "NVIDIA L4, 570.86.10"; echo "NVIDIA L4, 570.86.10";;
*) echo /opt/python;;
esac"""
FAILS = 'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver." >&2; exit 9'


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Look with a tool that runs a shell script; None: without one."""
    module = load_plugin("plugins/modules/nvidia_gpu.py")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def with_tool(script: str | None) -> dict[str, Any]:
        if script is not None:
            tool = tmp_path / "nvidia-smi"
            tool.write_text(f"#!/bin/sh\n{script}\n")
            tool.chmod(0o755)
        found: dict[str, Any] = module.look()
        return found

    return with_tool


def test_the_first_gpu_and_who_computes_on_it(look: Any) -> None:
    assert look(TWO) == {
        "found": True, "reason": "", "name": "NVIDIA L4", "driver": "570.86.10", "processes": ["/opt/python"],
    }  # fmt: skip


def test_a_driver_that_does_not_answer_says_why(look: Any) -> None:
    found = look(FAILS)

    assert not found["found"]
    assert "could not communicate with the NVIDIA driver" in found["reason"]


def test_a_host_without_a_driver(look: Any) -> None:
    found = look(None)

    assert (found["found"], found["processes"]) == (False, [])
    assert found["reason"] == "there is no nvidia-smi: the NVIDIA driver is not installed"


def test_a_driver_without_a_gpu(look: Any) -> None:
    assert look("exit 0")["reason"] == "nvidia-smi lists no GPU"
