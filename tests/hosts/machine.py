"""One host: its disk, its container, its end."""

import shutil
import signal
from contextlib import suppress
from pathlib import Path

from tests.hosts import cgroups, processes
from tests.hosts.command import HostsError, run
from tests.hosts.plan import FleetPlan, HostPlan
from tests.hosts.processes import Process, kill_all, start_detached, wait_until
from tests.hosts.ssh import generate_key

INIT = "/usr/local/sbin/test-host-init"
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"

# What makes a host itself, relative to its root. A baked layer is a disk without these.
IDENTITY = (
    "etc/apt/apt.conf.d/01test-host",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    HOST_KEY,
    f"{HOST_KEY}.pub",
    "etc/systemd/network/10-host0.network",
    "root/.ansible",
    "root/.ssh/authorized_keys",
    "var/lib/systemd/random-seed",
    "var/log/journal",
)

_KEEPER = Path(__file__).with_name("keep-host.sh")
_STOP_TIMEOUT = 90.0  # seconds; systemd's own limit for one unit's stop
_CONTAINER_TIMEOUT = 5.0  # seconds; then it is killed, too
_KILL_TIMEOUT = 20.0  # seconds
_CONSOLE_TAIL = 3000  # characters


class Machine:
    """A host's container. Its state is read from the machine each time; nothing is remembered here.

    Args:
        folder: the host's own folder, which holds its disk.
    """

    def __init__(self, plan: FleetPlan, host: HostPlan, folder: Path) -> None:
        self._plan = plan
        self._host = host
        self._folder = folder
        self._root = folder / "root"
        self._mark = f"--machine={host.machine}"  # on the command line of keeper and container, of no other

    @property
    def disk(self) -> Path:
        """What the host has written on top of its layers."""
        return self._folder / "upper"

    @property
    def console(self) -> str:
        """The end of what the host wrote to its console."""
        file = self._folder / "console.log"
        return file.read_text(errors="replace")[-_CONSOLE_TAIL:] if file.exists() else ""

    @property
    def running(self) -> bool:
        """Whether it runs, or is just rebooting."""
        return bool(processes.with_argument(self._mark))

    def create(self, authorized_key: str) -> str:
        """Make the disk, write the host's identity on it and return its public host key."""
        self._mount()
        address = f"{self._host.address}/{self._plan.subnet.rpartition('/')[2]}"
        self._write("etc/hostname", f"{self._host.name}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self._host.name}\n")
        self._write("etc/systemd/network/10-host0.network", render_network(address, self._plan.gateway))
        self._write("etc/apt/apt.conf.d/01test-host", f'Acquire::http::Proxy "{self._plan.proxy}";\n')
        self._write("root/.ssh/authorized_keys", f"{authorized_key}\n")
        return generate_key(self._root / HOST_KEY, self._host.name)

    def start(self) -> None:
        """Boot from the disk; returns before the host is up.

        Raises:
            HostsError: it runs already.
        """
        if self.running:
            raise HostsError(f"{self._host.name} runs already")
        self._mount()
        groups = cgroups.create(self._plan.cgroups, self._host.machine)
        with (self._folder / "console.log").open("ab") as console:
            start_detached([_KEEPER, *groups, "--", *self._container()], console)

    def stop(self) -> None:
        """Shut down in good order; a host that does not run stays so.

        Raises:
            HostsError: it still ran after 90 s.
        """
        container = self._container_process()
        if container is not None:
            container.signal(signal.SIGTERM)  # systemd-nspawn passes it on as an orderly power-off
        wait_until(lambda: not self.running, f"the shutdown of {self._host.name}", _STOP_TIMEOUT)

    def kill(self) -> None:
        """Cut the power: SIGKILL to the host's init. The disk stays as it is.

        Raises:
            HostsError: it does not run.
        """
        self.init().signal(signal.SIGKILL)
        wait_until(lambda: not self.running, f"the end of {self._host.name}", _KILL_TIMEOUT)

    def erase(self) -> None:
        """Remove the host and all that belongs to it, in whatever state it is. Harmless twice."""
        self._power_off()
        cgroups.remove(self._plan.cgroups, self._host.machine)
        if self._root.is_mount():
            run(["umount", self._root])
        if self._folder.exists():
            shutil.rmtree(self._folder)
        shutil.rmtree(Path("/run/systemd/nspawn/propagate", self._host.machine), ignore_errors=True)

    def execute(self, command: list[str], timeout: float) -> str:
        """Run a command in the host without going through its network and return its output."""
        return run(["nsenter", "--target", str(self.init().pid), "--all", "--", *command], timeout=timeout)

    def init(self) -> Process:
        """The host's PID 1, as this machine sees it.

        Raises:
            HostsError: the host does not run.
        """
        container = self._container_process()
        children = container.children() if container is not None else []
        if not children:
            raise HostsError(f"{self._host.name} does not run")
        return children[0]

    def unmount(self) -> None:
        """Detach the disk of a host that does not run."""
        run(["umount", self._root])

    def _container_process(self) -> Process | None:
        for process in processes.with_argument(self._mark):
            children = process.children()
            if str(_KEEPER) in process.arguments and children:
                return children[0]
        return None

    def _power_off(self) -> None:
        """Kill the init first: the container then ends by itself and removes what it made below /run."""
        container = self._container_process()
        for init in container.children() if container else []:
            init.signal(signal.SIGKILL)
        with suppress(HostsError):
            wait_until(lambda: not self._pids(), f"the end of {self._host.name}", _CONTAINER_TIMEOUT)
        kill_all(self._pids, self._host.name, _KILL_TIMEOUT)

    def _pids(self) -> set[int]:
        marked = processes.with_argument(self._mark)
        children = [child for process in marked for child in process.children()]  # the host's init among them
        return {process.pid for process in marked + children} | cgroups.members(
            self._plan.cgroups, self._host.machine
        )

    def _mount(self) -> None:
        for name in ("upper", "work", "root"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        if not self._root.is_mount():
            lower = ":".join(map(str, self._plan.layers))
            options = f"lowerdir={lower},upperdir={self.disk},workdir={self._folder / 'work'}"
            run(["mount", "-t", "overlay", "overlay", "-o", options, self._root])

    def _write(self, path: str, text: str) -> None:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _container(self) -> list[str | Path]:
        # With systemd as this machine's PID 1, each host becomes a scope of it with delegated controllers.
        unit = [] if cgroups.booted_with_systemd() else ["--register=no", "--keep-unit"]
        return [
            "systemd-nspawn",
            "--quiet",
            *unit,
            "--directory",
            self._root,
            self._mark,
            f"--hostname={self._host.name}",
            f"--network-bridge={self._plan.bridge}",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--console=pipe",
            "--kill-signal=SIGRTMIN+3",
            "--capability=CAP_BPF",  # without these two IPAddressDeny= is silently not enforced
            "--system-call-filter=bpf",
            INIT,
        ]


def render_network(address: str, gateway: str) -> str:
    """The host's systemd-networkd settings; the gateway makes `ansible_default_ipv4` exist."""
    return f"""\
[Match]
Name=host0

[Network]
Address={address}
Gateway={gateway}
LinkLocalAddressing=no
LLDP=no
EmitLLDP=no
"""
