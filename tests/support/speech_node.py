"""A speech node as it runs on a host: `orbitbot speech --settings FILE`, and a client of it."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.keys import Keys
from tests.support.net import free_port, wait_for
from tests.support.stack import ORBITBOT

TIMEOUT: Final = 60.0  # seconds; other tests may keep the cores busy


@dataclass
class SpeechNode:
    """A running speech node, and a client of it that holds the gateway's token."""

    http: httpx.Client
    process: subprocess.Popen[bytes]
    log: Path
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64), repr=False)

    def transcribe(self, audio: bytes, **fields: str) -> httpx.Response:
        """`POST /api/transcribe`."""
        return self.http.post("/api/transcribe", files={"audio": ("note.ogg", audio)}, data=fields)

    def begin(self, audio: bytes, **fields: str) -> Future[httpx.Response]:
        """`POST /api/transcribe`, without waiting for the answer."""
        return self._pool.submit(self.transcribe, audio, **fields)

    def check(self, name: str) -> dict[str, Any]:
        """One of the checks of `/readyz`."""
        checks: dict[str, dict[str, Any]] = self.http.get("/readyz").json()["checks"]
        return checks[name]

    def wait_ready(self) -> None:
        """Wait until it can serve."""
        wait_for(lambda: self._status("/readyz") == 200, f"ready ({self.log_text()})", TIMEOUT)

    def wait_alive(self) -> None:
        """Wait until it answers at all."""
        wait_for(lambda: self._status("/healthz") == 200, f"alive ({self.log_text()})", TIMEOUT)

    def _status(self, path: str) -> int:
        assert self.process.poll() is None, self.log_text()
        try:
            return self.http.get(path).status_code
        except httpx.TransportError:
            return 0

    def log_text(self) -> str:
        """Everything it has written."""
        return self.log.read_text(errors="replace")

    def decoders(self) -> list[int]:
        """Process ids of its decoders."""
        return [pid for pid in descendants(self.process.pid) if b"speech.decoder" in command_line(pid)]

    @contextmanager
    def frozen_decoders(self) -> Iterator[None]:
        """The decoders stand still, so that every note stays where it is."""
        frozen = wait_for(self.decoders, "decoders run")
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in frozen:
                with suppress(ProcessLookupError):  # a test may have killed it
                    os.kill(pid, signal.SIGCONT)

    def wait_held(self, count: int) -> None:
        """Wait until it holds `count` notes."""
        wait_for(
            lambda: self.check("queue")["detail"].startswith(f"{count} of"), f"{count} notes held", TIMEOUT
        )


def command_line(pid: int) -> bytes:
    """A process's command line; empty if there is no such process any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def children(pid: int) -> list[int]:
    """A process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            after_name = stat.read_text().rpartition(")")[2]
            if int(after_name.split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def descendants(pid: int) -> list[int]:
    """A process's children, their children and so on."""
    found = children(pid)
    for child in found:  # grows while it is walked
        found += children(child)
    return found


@contextmanager
def speech_node(
    keys: Keys, directory: Path, models: Mapping[str, Path], top: str = "", *, device: str = "cpu"
) -> Iterator[SpeechNode]:
    """A node of its own, alive but perhaps not ready; ended at the end.

    Args:
        directory: for its settings and its log.
        top: further lines of its settings.
    """
    port = free_port()
    settings = directory / "speech.toml"
    listed = "\n".join(f'{name} = "{path}"' for name, path in models.items())
    settings.write_text(
        f'verify_key_file = "{keys.public_file}"\ndevice = "{device}"\n{top}\n'
        f"[listen]\nport = {port}\ndrain_seconds = 30\n[models]\n{listed}\n"
    )
    token = keys.signer().sign(
        subject="service:gateway", audience="speech", scopes=frozenset({"service"}), lifetime=3600
    )
    log = directory / "speech.log"
    with (
        log.open("wb") as output,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
            trust_env=False,
        ) as http,
    ):
        process = subprocess.Popen(
            [ORBITBOT, "speech", "--settings", str(settings)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        node = SpeechNode(http, process, log)
        try:
            node.wait_alive()
            yield node
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(TIMEOUT)
