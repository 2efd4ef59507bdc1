"""`plugins/strategy/fastest.py`: Mitogen where the controller has a fitting one, and never needed."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import BINARIES

# Tasks in one run of a host share the interpreter under Mitogen, and have one each without it.
PLAYBOOK = """
- name: Look who runs a task
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Look who runs a task
      debian_packages:
        name: [coreutils]
      check_mode: true
"""


# Nobody listens on that port.
RESCUED = """
- name: Ask a host that is away
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Have a host
      ansible.builtin.add_host:
        name: away
        ansible_connection: ssh
        ansible_host: 127.0.0.1
        ansible_port: 1
    - name: Ask it
      block:
        - name: Ask it
          ansible.builtin.ping:
          delegate_to: away
          loop: [1, 2]
      rescue:
        - name: Tell why
          ansible.builtin.debug:
            msg: "{{ ansible_failed_task.name }}: {{ ansible_failed_result.msg }}"
    - name: Ask it without a rescue
      ansible.builtin.ping:
      delegate_to: away
      ignore_unreachable: true
"""


def run(folder: Path, modules: Path | None = None, playbook: str = PLAYBOOK) -> str:
    """Run a playbook on this machine, with `modules` before all others; what it printed with -vvv."""
    (folder / "playbook.yml").write_text(playbook)
    words = ["-vvv", "-i", "localhost,", "-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3"]
    done = subprocess.run(
        [BINARIES / "ansible-playbook", *words, folder / "playbook.yml"],
        cwd=REPOSITORY,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"} | ({"PYTHONPATH": str(modules)} if modules else {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok=" in done.stdout
    return done.stdout


def test_mitogen_is_used_where_it_is_there(tmp_path: Path) -> None:
    assert "ESTABLISH LOCAL CONNECTION" not in run(tmp_path)


@pytest.mark.parametrize(
    "problem",
    [
        "raise ImportError('no such module')",
        "from ansible.errors import AnsibleError\nraise AnsibleError('x')",
    ],
    ids=["missing", "does not know this Ansible"],
)
def test_without_mitogen_the_same_tasks_run(tmp_path: Path, problem: str) -> None:
    (tmp_path / "modules/ansible_mitogen").mkdir(parents=True)
    (tmp_path / "modules/ansible_mitogen/__init__.py").write_text(f"{problem}\n")
    assert "ESTABLISH LOCAL CONNECTION" in run(tmp_path, tmp_path / "modules")


@pytest.mark.parametrize("mitogen", [True, False])
def test_a_delegated_task_whose_host_is_away_can_be_rescued(tmp_path: Path, *, mitogen: bool) -> None:
    (tmp_path / "modules/ansible_mitogen").mkdir(parents=True)
    (tmp_path / "modules/ansible_mitogen/__init__.py").write_text("raise ImportError('no such module')\n")
    said = run(tmp_path, None if mitogen else tmp_path / "modules", RESCUED)
    assert "Ask it: away cannot be reached: " in said
    assert "unreachable=0 " in said
    assert "rescued=1 " in said
    assert "ignored=1" in said
