"""The house's rooms: imports go one way, and the bot stays small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "app/orbitbot"

# From the ground up: a room imports only from rooms above it in this list (docs/index.md).
ROOMS = [
    "foundation", "contracts", "clients", "conversations", "fleet", "pairing", "plugins",
    "speech", "ai", "bot", "dashboard", "gateway",
]  # fmt: skip
# Services know each other by `contracts` alone.
STRANGERS = {
    "gateway": {"speech", "ai", "bot", "plugins"},
    "ai": {"speech", "conversations", "fleet", "pairing"},
    "speech": {"clients", "conversations", "fleet", "pairing", "plugins"},
    "bot": {"clients", "conversations", "fleet", "pairing", "plugins", "speech", "ai"},
    "dashboard": {"plugins", "speech", "ai", "bot"},
}


def imports_of(file: Path) -> set[str]:
    """The rooms that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            names = [node.module]
            if node.module == "orbitbot":
                names = [f"orbitbot.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("orbitbot.")}
    return found


def files_of(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def test_every_room_is_known() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) - STRANGERS.get(room, set())
    assert files_of(room)
    for file in files_of(room):
        assert imports_of(file) <= allowed | {"__version__"}, file


def test_the_bot_loads_nothing_heavy() -> None:
    script = (
        "import sys, orbitbot.bot.main\n"
        "heavy = {'litestar', 'granian', 'psycopg', 'redis', 'httpx', 'openai', 'cryptography', 'jwt',"
        " 'pydantic', 'requests', 'neonize', 'anyio', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
