"""The whole of OrbitBot as plain processes in a temporary directory: gateway, AI, speech and bots.

No Ansible, no supervisor, no nginx: what is under test is that the services fit together. Each is started
by the same command as on a host (`orbitbot SERVICE --settings FILE`).
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from orbitbot.contracts.clients import CredentialCreated
from tests.support.api import OPERATOR, Api
from tests.support.keys import Keys
from tests.support.net import free_port, wait_for
from tests.support.postgres import Database
from tests.support.redis import RedisServer

ORBITBOT: Final = str(Path(sys.executable).with_name("orbitbot"))
SPEECH_MODEL: Final = Path(__file__).parents[1] / "data" / "speech-model"
READY_TIMEOUT: Final = 60.0  # seconds; two busy cores start all the services at once
STOP_TIMEOUT: Final = 30.0  # seconds


@dataclass
class Service:
    """One `orbitbot` process, its settings file and its log."""

    name: str
    command: list[str]
    log: Path
    url: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it; its log is appended to."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def is_ready(self) -> bool:
        """Whether `/readyz` says so.

        Raises:
            RuntimeError: the process has ended; the message holds the end of its log.
        """
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"{self.name} is not running:\n{self.log_tail()}")
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def wait_ready(self) -> None:
        """Wait until it can serve."""
        try:
            wait_for(self.is_ready, f"{self.name} is ready", READY_TIMEOUT)
        except TimeoutError as error:
            raise RuntimeError(f"{self.name} did not get ready:\n{self.log_tail()}") from error

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_TIMEOUT)
            self.process = None

    def kill(self) -> None:
        """SIGKILL to the process and all its workers."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_TIMEOUT)
            self.process = None

    def log_tail(self, characters: int = 4000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else "(no log)"


@dataclass
class Bot:
    """One client's bot, and where its simulated telephone is."""

    client_id: str
    state_directory: Path
    service: Service
    credential: CredentialCreated


class Stack:
    """All services of one machine, on free ports.

    Args:
        provider: address of an OpenAI-compatible service, up to and with `/v1`. It is asked once there is a
            file `provider-key` in `directory`.
        model: that it is asked for.
    """

    def __init__(
        self,
        directory: Path,
        database: Database,
        redis_server: RedisServer,
        keys: Keys,
        *,
        provider: str = "http://127.0.0.1:9",
        model: str = "none",
    ) -> None:
        self.directory = directory
        self.provider, self.model = provider, model
        self.database = database
        self.redis_server = redis_server
        self.keys = keys
        self.operator_password = os.urandom(16).hex()
        self.bots: dict[str, Bot] = {}
        self._ports = {name: free_port() for name in ("gateway", "ai", "speech")}
        (directory / "bots").mkdir()
        self.gateway = self._service("gateway", _GATEWAY)
        self.ai = self._service("ai", _AI)
        self.speech = self._service("speech", _SPEECH)

    @property
    def services(self) -> list[Service]:
        """Gateway, AI and speech."""
        return [self.gateway, self.ai, self.speech]

    def _service(self, name: str, template: str) -> Service:
        settings = self._write(
            f"{name}.toml",
            template.format(
                directory=self.directory,
                redis_url=self.redis_server.url,
                redis_password_file=self.redis_server.password_file,
                signing_key_file=self.keys.private_file,
                verify_key_file=self.keys.public_file,
                database_port=self.database.port,
                database_name=self.database.name,
                database_password_file=self.database.password_file,
                speech_model=SPEECH_MODEL,
                provider=self.provider,
                model=self.model,
                **self._ports,
            ),
        )
        return Service(
            name=name,
            command=[ORBITBOT, name, "--settings", str(settings)],
            log=self.directory / f"{name}.log",
            url=f"http://127.0.0.1:{self._ports[name]}",
        )

    def _write(self, name: str, content: str) -> Path:
        path = self.directory / name
        path.write_text(content)
        return path

    def start(self) -> None:
        """Start every service, wait until all can serve, and make the operator's account."""
        for service in self.services:
            service.start()
        self.set_operator()
        for service in self.services:
            service.wait_ready()

    def set_operator(self) -> None:
        """Make the operator's account, as the playbook does."""
        settings = self._write(
            "migrate.toml",
            _MIGRATE.format(
                database_port=self.database.port,
                database_name=self.database.name,
                database_password_file=self.database.password_file,
            ),
        )
        password_file = self._write("operator-password", self.operator_password)
        command = [ORBITBOT, "set-operator", OPERATOR]
        command += ["--password-file", str(password_file), "--settings", str(settings)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"set-operator: {done.stderr}")

    def stop(self) -> None:
        """Stop everything that still runs, bots first."""
        for service in [*(bot.service for bot in self.bots.values()), *self.services]:
            service.stop()

    def anonymous(self) -> Api:
        """The API without a token."""
        return Api(self.gateway.url)

    def operator(self) -> Api:
        """The API as the operator."""
        with self.anonymous() as anonymous:
            return anonymous.as_operator(self.operator_password, OPERATOR)

    def add_client(
        self, client_id: str, personality: str | None = None, settings: dict[str, Any] | None = None
    ) -> Bot:
        """Register a client on the simulator channel, configure it, start its bot: as the playbook does."""
        with self.operator() as operator:
            operator.register(client_id, channel="simulator", name=client_id.title())
            operator.configure(client_id, personality, settings)
            credential = operator.credential(client_id, "bot")
            state = self.directory / "bots" / client_id
            state.mkdir(mode=0o700)
            credential_file = state / "credential.json"
            credential_file.write_bytes(msgspec.json.encode(credential))
            credential_file.chmod(0o400)
            settings_file = self._write(
                f"bots/{client_id}.toml",
                _BOT.format(client_id=client_id, state=state, gateway=self._ports["gateway"]),
            )
            bot = Bot(
                client_id=client_id,
                state_directory=state,
                service=Service(
                    name=f"bot {client_id}",
                    command=[ORBITBOT, "bot", "--settings", str(settings_file)],
                    log=self.directory / "bots" / f"{client_id}.log",
                ),
                credential=credential,
            )
            self.bots[client_id] = bot
            bot.service.start()
            self.wait_connected(bot, operator)
        return bot

    def wait_connected(self, bot: Bot, operator: Api) -> None:
        """Wait until the bot has reported itself connected."""

        def connected() -> bool:
            process = bot.service.process
            if process is None or process.poll() is not None:
                raise RuntimeError(f"{bot.service.name} is not running:\n{bot.service.log_tail()}")
            return operator.client(bot.client_id).bot_state == "connected"

        wait_for(connected, f"{bot.service.name} is connected", READY_TIMEOUT)

    def logs(self) -> str:
        """The end of every log, for a failure's message."""
        services = [*self.services, *(bot.service for bot in self.bots.values())]
        return "\n".join(f"--- {service.name}\n{service.log_tail()}" for service in services)


_MIGRATE = """
[database]
user = "orbitbot_owner"
password_file = "{database_password_file}"
port = {database_port}
name = "{database_name}"
"""

_GATEWAY = """
redis_url = "{redis_url}"
redis_password_file = "{redis_password_file}"
signing_key_file = "{signing_key_file}"
verify_key_file = "{verify_key_file}"
ai_urls = ["http://127.0.0.1:{ai}"]
speech_urls = ["http://127.0.0.1:{speech}"]
trusted_proxies = ["127.0.0.1"]
public_url = "http://127.0.0.1:{gateway}"
[listen]
port = {gateway}
workers = 1
drain_seconds = 5
[database]
user = "orbitbot_gateway"
password_file = "{database_password_file}"
port = {database_port}
name = "{database_name}"
[operator_database]
user = "orbitbot_operator"
password_file = "{database_password_file}"
port = {database_port}
name = "{database_name}"
"""

_AI = """
verify_key_file = "{verify_key_file}"
[listen]
port = {ai}
drain_seconds = 5
[database]
user = "orbitbot_ai"
password_file = "{database_password_file}"
port = {database_port}
name = "{database_name}"
[provider]
base_url = "{provider}"
default_model = "{model}"
api_key_file = "{directory}/provider-key"
timeout_seconds = 20.0
"""

_SPEECH = """
verify_key_file = "{verify_key_file}"
default_model = "medium"
device = "cpu"
compute_type = "int8"
cpu_threads = 1
[listen]
port = {speech}
drain_seconds = 5
[models]
medium = "{speech_model}"
"""

_BOT = """
client_id = "{client_id}"
channel = "simulator"
gateway_url = "http://127.0.0.1:{gateway}"
state_directory = "{state}"
credential_file = "{state}/credential.json"
"""
