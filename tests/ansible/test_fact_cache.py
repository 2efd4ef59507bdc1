"""`plugins/cache/inventory_facts.py`: facts outlive a run, and belong to one inventory."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import BINARIES, Run

# Tells the fact that it has, then gathers it.
PLAYBOOK = """
- name: Look what is known
  hosts: all
  gather_facts: false
  tasks:
    - name: Say it
      ansible.builtin.debug:
        msg: "known is {{ ansible_facts.service_mgr | default('nothing') }}"

    - name: Gather it
      ansible.builtin.setup:
        gather_subset: ["!all", "!min", service_mgr]
"""


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., str]:
    """Run the playbook with one of two inventories that have a host of the same name."""
    (tmp_path / "playbook.yml").write_text(PLAYBOOK)
    for name in ("first", "second"):
        host = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        (tmp_path / f"{name}.yml").write_text(json.dumps({"all": {"hosts": {"host-1": host}}}))

    def run(inventory: str, *arguments: str) -> str:
        done = subprocess.run(
            [BINARIES / "ansible-playbook", "-i", tmp_path / f"{inventory}.yml", "playbook.yml", *arguments],
            cwd=tmp_path,
            env=os.environ
            | {
                "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "facts"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        output = Run(done.returncode, done.stdout).require_success().output
        return output.partition("known is ")[2].split()[0]

    return run


def test_facts_outlive_a_run_and_belong_to_one_inventory(look: Callable[..., str]) -> None:
    assert look("first") == "nothing"
    found = look("first")
    assert found != "nothing"
    assert look("second") == "nothing"
    assert look("first", "--flush-cache") == "nothing"
