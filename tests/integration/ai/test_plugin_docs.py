"""docs/plugins.md: its example is built, tested by its own test, installed as a wheel, and answers a chat."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ai import Ai, another

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[3] / "docs" / "plugins.md"
_FILE = re.compile(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(directory: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=directory, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(directory)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example(ai: Ai, tmp_path: Path) -> None:
    source = tmp_path / "tickets"
    source.mkdir()
    files = dict(_FILE.findall(PAGE.read_text("utf-8")))
    assert files.keys() == {"pyproject.toml", "orbitbot_tickets.py", "test_tickets.py"}
    for name, content in files.items():
        (source / name).write_text(content)
    assert "2 passed" in run(source, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tickets.py")
    run(source, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist"))
    (wheel,) = (tmp_path / "dist").glob("*.whl")

    with another(ai, tmp_path, top=f'plugin_wheels = ["{wheel}"]') as plugged:
        listed = {each["name"]: each for each in plugged.http.post("/api/plugins").json()["plugins"]}
        assert listed["tickets"]["distribution"] == "orbitbot-tickets"
        assert listed["tickets"]["hooks"] == ["before_answer", "tools"]
        wrong = {"plugins": {"tickets": {"prefix": 7}}}
        problems = plugged.http.post("/api/check-plugins", json=wrong).json()["problems"]
        assert problems[0]["field"] == "settings.plugins.tickets.prefix"
        ai.add_client("ticketed", plugins={"tickets": {"enabled": True, "prefix": "SUP"}})
        body = {
            "clientId": "ticketed",
            "message": "ticket printer is on fire",
            "turn": "t1",
            "contact": "1",
        }
        answer = plugged.http.post("/api/chat", json=body).json()
        assert answer["source"] == "plugin"
        assert answer["response"].startswith("Ticket SUP-")
    with ai.database.connect("postgres") as connection:
        told = connection.execute("SELECT kind FROM client_events WHERE client_id = 'ticketed'").fetchall()
    assert told == [("ticket_opened",)]
