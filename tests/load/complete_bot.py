"""Complete bots as on a host: a release, in a virtual environment of Debian's Python; launcher; sandbox.

Only supervisor is left out. Each bot has a user and a directory of its own.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from orbitbot import __version__
from tests.load.footprint import processes_of
from tests.support.gateway_double import GatewayDouble
from tests.support.sealed import LAUNCHER, PYTHON, ROOT
from tests.whatsapp.boundary import SITE

CACHE: Final = Path("/var/tmp/orbitbot-bench")  # that other users can pass through; kept between runs
STOP_TIMEOUT: Final = 20.0  # seconds


def make_release() -> Path:
    """A release as the role `release` installs it, of this checkout; made once per lock file."""
    lock = ROOT / "locks/bot.txt"
    version = subprocess.run([PYTHON, "--version"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256(lock.read_bytes() + version.encode()).hexdigest()[:12]
    folder = CACHE / f"release-{key}"
    CACHE.mkdir(mode=0o711, exist_ok=True)
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        python = folder / "venv/bot/bin/python"
        _uv("venv", "--quiet", "--python", PYTHON, str(folder / "venv/bot"))
        _uv("pip", "install", "--quiet", "--link-mode=copy", "--compile-bytecode", "--require-hashes",
            f"--python={python}", f"--requirement={lock}")  # fmt: skip
        (folder / "complete").touch()
    packages = next((folder / "venv/bot/lib").glob("python3.*/site-packages"))
    shutil.rmtree(packages / "orbitbot", ignore_errors=True)
    shutil.copytree(
        ROOT / "app/orbitbot", packages / "orbitbot", ignore=shutil.ignore_patterns("__pycache__")
    )
    described = packages / f"orbitbot-{__version__}.dist-info"
    described.mkdir(exist_ok=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: orbitbot\nVersion: {__version__}\n")
    shutil.copytree(SITE, folder / "site", dirs_exist_ok=True)
    compiled = [str(packages / "orbitbot"), str(folder / "site")]
    subprocess.run([PYTHON, "-m", "compileall", "-q", *compiled], check=True)
    script = folder / "venv/bot/bin/orbitbot"
    script.write_text(
        f"#!{folder}/venv/bot/bin/python\nimport sys\nfrom orbitbot.cli import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    return folder


def _uv(*arguments: str) -> None:
    index = os.environ.get("PIP_INDEX_URL") or subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    environment = os.environ | ({"UV_DEFAULT_INDEX": index} if index else {})
    subprocess.run([Path(sys.executable).with_name("uv"), *arguments], check=True, env=environment)


class CompleteBot:
    """One bot of a release.

    Args:
        gateway_url, credential: which gateway it talks to, and what opens it.

    Attributes:
        user: a number that nobody else has.
        state: its directory, which belongs to the user once `give_away` was called.
    """

    def __init__(
        self,
        folder: Path,
        release: Path,
        client: str,
        channel: str,
        environment: Mapping[str, str],
        *,
        gateway_url: str,
        credential: Mapping[str, str],
    ) -> None:
        self.client = client
        self.user = random.SystemRandom().randrange(200_000, 2_000_000_000)
        self._gateway_port = urlsplit(gateway_url).port or 0
        self.state = folder / "bots" / client
        self.state.mkdir(parents=True, mode=0o700)
        self.log = folder / f"{client}.log"
        credential_file = self.state / "credential.json"
        credential_file.write_text(json.dumps(dict(credential)))
        self._settings = folder / f"{client}.toml"
        self._settings.write_text(
            f'client_id = "{client}"\nchannel = "{channel}"\ngateway_url = "{gateway_url}"\n'
            f'state_directory = "{self.state}"\ncredential_file = "{credential_file}"\n'
        )
        self._release = release
        self._environment = {"MALLOC_ARENA_MAX": "1", **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def give_away(self) -> None:
        """Everything in its directory becomes its user's."""
        subprocess.run(["chown", "-R", f"{self.user}:{self.user}", str(self.state)], check=True)

    @property
    def command(self) -> list[str]:
        """As in the role's program file."""
        ports = [self._gateway_port]
        if proxy := self._environment.get("HTTPS_PROXY"):
            ports.append(urlsplit(proxy).port or 0)
        words = [PYTHON, "-I", "-S", str(LAUNCHER), "run", "--client", self.client, "--user", str(self.user)]
        words += ["--state", str(self.state), "--settings", str(self._settings)]
        words += ["--release", str(self._release), "--memory-mib", "160", "--cpu-percent", "25"]
        words += ["--tasks", "64", "--open-files", "1024"]
        words += [word for port in ports for word in ("--port", str(port))]
        words += ["--keep-env", ",".join(["HOME", "LANG", *self._environment])]
        bot = [str(self._release / "venv/bot/bin/orbitbot"), "bot", "--settings", str(self._settings)]
        return [*words, "--", *bot]

    def start(self) -> None:
        """Start it, as supervisor would; returns at once."""
        environment = {"HOME": str(self.state), "LANG": "C.UTF-8", "PATH": os.environ["PATH"]}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=environment | self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def processes(self) -> list[int]:
        """Its processes: bubblewrap's two and the bot."""
        return processes_of(self.user)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """SIGTERM to the process group, as supervisor does; the exit status."""
        assert self._process is not None
        os.killpg(self._process.pid, 15)
        try:
            return self._process.wait(STOP_TIMEOUT)
        finally:
            self.close()

    def close(self) -> None:
        """End whatever there is."""
        if self.is_running() and self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait(STOP_TIMEOUT)
        words = [PYTHON, "-I", "-S", str(LAUNCHER), "end", "--client", self.client, "--user", str(self.user)]
        subprocess.run(words, check=True, capture_output=True, timeout=30)

    def log_tail(self, characters: int = 2000) -> str:
        """The end of what it has logged."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""


class BotWithDouble(CompleteBot):
    """A complete bot with a double of a gateway of its own."""

    def __init__(
        self, folder: Path, release: Path, client: str, channel: str, environment: Mapping[str, str]
    ) -> None:
        self.gateway = GatewayDouble(client)
        self.gateway.start()
        super().__init__(
            folder, release, client, channel, environment,
            gateway_url=self.gateway.url, credential=self.gateway.credential,
        )  # fmt: skip

    def close(self) -> None:
        """End whatever there is."""
        super().close()
        self.gateway.stop()
