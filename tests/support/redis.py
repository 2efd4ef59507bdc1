"""A private Redis for a test session: Debian's server, in a temporary directory, without persistence."""

import shutil
import subprocess
from pathlib import Path

import redis

from tests.support.net import free_port, wait_for


class RedisServer:
    """A Redis of its own on a free port, with a password as on a real host."""

    password = "for-tests-only"

    def __init__(self, directory: Path) -> None:
        if shutil.which("redis-server") is None:
            raise FileNotFoundError(
                "these tests need Debian's package `redis-server`: run `make test`, which installs it"
            )
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.password_file = directory / "password"
        self.password_file.write_text(self.password)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--requirepass", self.password, "--dir", str(self.directory),
             "--loglevel", "warning"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(self._answers, "Redis answers")

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False

    def client(self) -> redis.Redis:
        """A synchronous client."""
        return redis.Redis(port=self.port, password=self.password, single_connection_client=False)

    def flush(self) -> None:
        """Delete every key."""
        with self.client() as client:
            client.flushall()

    def stop(self) -> None:
        """Stop it; `start` starts it again, empty."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None
