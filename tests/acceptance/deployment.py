"""The deployment that `make up` makes on this machine, as the acceptance tests see and disturb it."""

import http.client
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import xmlrpc.client
from pathlib import Path
from typing import Any, Final

import httpx

from orbitbot.foundation.names import (
    log_file,
    settings_file,
    state_directory,
    supervisor_program,
    system_user,
)
from tests.acceptance.vault import ROOT, VAULT, read_vault
from tests.support.api import OPERATOR, Api
from tests.support.net import wait_for

URL: Final = "https://localhost"
CA_FILE: Final = Path("/etc/orbitbot/tls/ca.crt")
CURRENT: Final = Path("/opt/orbitbot/current")
SERVICES: Final = {"gateway": 3000, "ai": 3001, "speech": 3002}
FRONTS: Final = Path(
    "/etc/orbitbot/fronts"
)  # nginx's files, which say which slot of a service is the active one
SUPERVISOR_SOCKET: Final = "/run/supervisor.sock"
FIRST_CLIENT: Final = "padaria"
PLAYBOOK_LOCK: Final = "/run/lock/orbitbot-playbook"  # one playbook of these tests at a time

READY_TIMEOUT: Final = 90.0  # seconds
PLAYBOOK_TIMEOUT: Final = 600.0  # seconds
_RECAP: Final = re.compile(r"^(\S+)\s+: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


def present_release() -> str:
    """The version that this checkout would be deployed as."""
    path = ROOT / "plugins" / "action" / "build_release.py"
    spec = importlib.util.spec_from_file_location("build_release", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.release_version(ROOT))


def deployed_release() -> str:
    """The version that runs here; empty if there is none."""
    return CURRENT.resolve().name if CURRENT.exists() else ""


def recaps(output: str) -> list[tuple[str, int, int]]:
    """Of every host in every play recap: name, tasks that changed something, tasks that failed."""
    return [
        (host, int(changed), int(unreachable) + int(failed))
        for host, changed, unreachable, failed in _RECAP.findall(output)
    ]


def _mitogen() -> dict[str, str]:
    """What makes Ansible use Mitogen, as `make` does where it is installed: the same tasks, faster."""
    spec = importlib.util.find_spec("ansible_mitogen")
    if spec is None or not spec.submodule_search_locations:
        return {}
    return {
        "ANSIBLE_STRATEGY_PLUGINS": f"{spec.submodule_search_locations[0]}/plugins/strategy",
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_HOST_KEY_CHECKING": "False",
    }


class _SupervisorTransport(xmlrpc.client.Transport):
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(SUPERVISOR_SOCKET)
        self._connection = host, connection  # so that closing the proxy closes it
        return connection


def _is_retired(program: str) -> bool:
    """Whether it is the slot of a service that nginx does not pass to."""
    slot = re.fullmatch(r"orbitbot-(gateway|ai|speech)-[ab]", program)
    return slot is not None and not Path(f"/etc/supervisor/conf.d/{program}.conf").exists()


class Client:
    """A client of the deployment and where its bot's things are."""

    def __init__(self, client_id: str) -> None:
        self.id = client_id
        self.user = system_user(client_id)
        self.program = supervisor_program(client_id)
        self.state_directory = Path(state_directory(client_id))
        self.settings_file = Path(settings_file(client_id))
        self.log_file = Path(log_file(client_id))


class Deployment:
    """What runs on this machine."""

    def anonymous(self) -> Api:
        """The API through nginx, its certificate verified, without a token."""
        return Api(URL, CA_FILE)

    def operator(self) -> Api:
        """The API through nginx as the operator whose password is in the vault."""
        with self.anonymous() as anonymous:
            return anonymous.as_operator(read_vault().vault_operator_password, OPERATOR)

    def make(self, target: str, log: Path) -> subprocess.CompletedProcess[str]:
        """Run `make TARGET`; its output goes to `log` and is in the result."""
        return self._run(["make", "--no-print-directory", target], log)

    def playbook(self, name: str, log: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook on this machine; its output goes to `log` and is in the result."""
        command = [
            "flock",
            "--close",
            PLAYBOOK_LOCK,
            str(ROOT / ".venv/bin/ansible-playbook"),
            "-i",
            "inventory/local",
        ]
        return self._run([*command, f"playbooks/{name}", *arguments], log, _mitogen())

    def _run(
        self, command: list[str], log: Path, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        with log.open("w") as output:
            done = subprocess.run(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                text=True, timeout=PLAYBOOK_TIMEOUT, check=False, env=os.environ | (environment or {}),
            )  # fmt: skip
        text = log.read_text(errors="replace")
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{text[-6000:]}")
        return subprocess.CompletedProcess(command, 0, text, "")

    def rpc(self, method: str, *arguments: Any) -> Any:
        """One call of supervisor's XML-RPC interface."""
        with xmlrpc.client.ServerProxy("http://localhost", transport=_SupervisorTransport()) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def programs(self) -> list[dict[str, Any]]:
        """What supervisor is to run: a slot that has finished is still listed, and has no file any more."""
        found: list[dict[str, Any]] = self.rpc("getAllProcessInfo")
        return [info for info in found if not _is_retired(info["name"])]

    def program_name(self, program: str) -> str:
        """Supervisor's name of a program; a service's is that of its active slot."""
        front = FRONTS / f"{program.removeprefix('orbitbot-')}.conf"
        if front.exists():
            slot = re.search(r"^# Active slot: ([ab])$", front.read_text(), re.MULTILINE)
            assert slot is not None, front
            program = f"{program}-{slot[1]}"
        return program

    def _process(self, program: str) -> str:
        """Supervisor's name of a program's process."""
        name = self.program_name(program)
        return f"{name}:{name}"

    def pid(self, program: str) -> int:
        """The process id of a running program; 0 while it does not run."""
        info = self.rpc("getProcessInfo", self._process(program))
        return int(info["pid"]) if info["statename"] in ("RUNNING", "STARTING") else 0

    def wait_pid(self, program: str, other_than: int = 0) -> int:
        """The program's process id, once it has one that is another than before."""

        def another() -> int:
            pid = self.pid(program)
            return pid if pid != other_than else 0

        return wait_for(another, f"{program} runs", READY_TIMEOUT)

    def kill(self, pid: int) -> None:
        """SIGKILL, also if the process has just ended by itself."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def stop_program(self, program: str) -> None:
        """Stop a program and wait until it has ended."""
        self.rpc("stopProcess", self._process(program))

    def start_program(self, program: str) -> None:
        """Start a program, unless it runs."""
        if not self.pid(program):
            self.rpc("startProcess", self._process(program))

    def init_script(self, name: str, action: str) -> None:
        """`service NAME ACTION`; this works with and without systemd."""
        service = shutil.which("service")
        assert service is not None
        done = subprocess.run(
            [service, name, action], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"service {name} {action}: {done.stdout}")

    def readiness(self, service: str) -> dict[str, Any]:
        """A service's `/readyz`, asked on its own port; empty while it does not answer."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{SERVICES[service]}/readyz", timeout=5, trust_env=False)
        except httpx.TransportError:
            return {}
        body: dict[str, Any] = answer.json()
        return body

    def answers_to_this_checkout(self) -> bool:
        """Whether all services serve, also through nginx, and were deployed with this checkout's vault."""
        if not VAULT.exists() or not CA_FILE.exists():
            return False
        try:
            with self.anonymous() as api:
                through_nginx = api.http.get("/readyz").is_success
        except httpx.TransportError:
            return False
        ready = all(self.readiness(service).get("status") == "ready" for service in SERVICES)
        return through_nginx and ready and CA_FILE.read_text().strip() == read_vault().ca_certificate.strip()

    def wait_ready(self) -> None:
        """Wait until every service can serve and every bot of supervisor's runs."""
        for service in SERVICES:
            wait_for(
                lambda service=service: self.readiness(service).get("status") == "ready",  # type: ignore[misc]
                f"{service} is ready",
                READY_TIMEOUT,
            )
        wait_for(
            lambda: all(info["statename"] == "RUNNING" for info in self.programs()),
            "every program runs",
            READY_TIMEOUT,
        )

    def restore(self) -> None:
        """Start whatever a fault test may have stopped, and wait until all of it serves again."""
        for name in ("postgresql", "redis-server", "supervisor", "nginx"):
            if not self._answers(name):
                self.init_script(name, "start")
        wait_for(lambda: Path(SUPERVISOR_SOCKET).exists(), "supervisor's socket is there")
        for info in self.programs():
            if info["statename"] not in ("RUNNING", "STARTING", "BACKOFF"):
                self.rpc("startProcess", f"{info['group']}:{info['name']}")
        self.wait_ready()

    def _answers(self, name: str) -> bool:
        address: Any
        match name:
            case "postgresql":
                family, address = socket.AF_INET, ("127.0.0.1", 5432)
            case "redis-server":
                family, address = socket.AF_INET, ("127.0.0.1", 6379)
            case "nginx":
                family, address = socket.AF_INET, ("127.0.0.1", 443)
            case _:
                family, address = socket.AF_UNIX, SUPERVISOR_SOCKET
        with socket.socket(family) as probe:
            probe.settimeout(2)
            return probe.connect_ex(address) == 0
